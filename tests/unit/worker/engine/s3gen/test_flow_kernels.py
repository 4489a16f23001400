"""The flow's Triton kernels, interpreted on the CPU, compute what torch computes, and read no other sequence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "interpret_flow_kernels.py"
ROOT = Path(__file__).resolve().parents[5]

pytestmark = pytest.mark.slow


def test_kernels_compute_what_torch_computes() -> None:
    pytest.importorskip("triton")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, str(PROGRAM)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    errors = json.loads(done.stdout)
    assert set(errors) == {"attention", "section"}
    # Numbers reach 10; sums are of another order. A number that is not one fails the comparison.
    for name, error in errors.items():
        assert error < 2e-5, (name, error)
