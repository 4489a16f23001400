"""Draws the figures of `scaling.py`: audio seconds per second over the number of GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def plot(result: dict[str, Any], path: Path) -> None:
    """Write a PNG: bars for the whole path, and what as many engines alone would make as a line over them."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    paths = result["whole_path"]
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    bars = axes.bar(list(paths), [found["x_real_time"] for found in paths.values()], color="#2a6f97", width=0.5)
    axes.bar_label(bars, fmt="%.4g", label_type="center", color="white")
    if alone := result.get("engine_alone"):
        ideal = [alone["x_real_time"] * int(num_gpus) for num_gpus in paths]
        axes.plot(list(paths), ideal, "o--", color="#999999", label="engine alone, times the GPUs")
        axes.legend(loc="upper left")
    axes.margins(y=0.15)
    axes.set_xlabel("GPUs of one host, one process each")
    axes.set_ylabel("seconds of speech per second")
    axes.set_title("text to audio in S3, through Valkey and Celery")
    figure.savefig(path, dpi=120)
    plt.close(figure)
