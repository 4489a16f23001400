"""Draws the figures of `throughput.py` as bars."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def plot(result: dict[str, Any], path: Path) -> None:
    """Write a PNG: seconds of speech per second, on a logarithmic scale, because the peers are so far below."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rates = {
        **{name: found["x_real_time"] for name, found in result["peers"].items()},
        **{f"engine, {name}": found["x_real_time"] for name, found in result["engine"].items()},
    }
    figure, axes = plt.subplots(figsize=(8, 0.6 * len(rates) + 1.4), layout="constrained")
    bars = axes.barh(list(rates), list(rates.values()), color=["#999999"] * len(result["peers"]) + ["#2a6f97"] * 9)
    axes.bar_label(bars, fmt="%.4g", padding=3)
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("seconds of speech per second, text tokens to FLAC, random weights of full size")
    axes.set_title(f"{result['gpu'] or 'CPU'}: one process")
    figure.savefig(path, dpi=120)
