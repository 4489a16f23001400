"""What the tests on a GPU share: full-size checkpoints with random weights, and the file that their figures go into."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def full_checkpoint() -> Any:
    """Return a function from a model's name to the folder of its full-size checkpoint, made once and kept."""
    spec = importlib.util.spec_from_file_location("full_checkpoint", ROOT / "bench" / "full_checkpoint.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    root = Path(os.environ.get("GPU_TEST_CHECKPOINTS", tempfile.gettempdir()))

    def checkpoint(model: str, *, stops_after: int | None = None) -> Path:
        directory = root / f"full-{model}-{stops_after or 'never'}"
        if not (directory / "conds.pt").exists():
            script.make_full_checkpoint(directory, model, stops_after=stops_after)
        return directory

    return checkpoint


@pytest.fixture(scope="module")
def figures(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Collect the figures of a module; written beside the others when it ends."""
    import bitsandbytes
    import torch
    import transformers

    found: dict[str, Any] = {}
    yield found
    name = request.module.__name__.split(".")[-1].removeprefix("test_")
    folder = Path(os.environ.get("GPU_TEST_RESULTS", ROOT / "bench" / "results"))
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "command": f"tests/gpu/run.sh {name}",
        "commit": os.environ.get("GPU_TEST_COMMIT"),
        "machine": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU, to try the tests",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "bitsandbytes": bitsandbytes.__version__,
        },
        "weights": "random, full size",
        "figures": found,
    }
    (folder / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
