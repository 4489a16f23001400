"""The vocoder's kernels compute what plain torch computes, as far as that can be seen without a GPU."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from processes import ROOT

pytestmark = pytest.mark.slow


def test_the_kernels_agree_with_plain_torch_in_tritons_interpreter():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "interpretedkernels.py")],
        env=environment,
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr[-3_000:]
