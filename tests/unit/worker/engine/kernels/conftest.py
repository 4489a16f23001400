"""What the tests of the kernels share: a process that interprets Triton, started once."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

INTERPRETER = Path(__file__).parent / "interpreter.py"
ROOT = Path(__file__).resolve().parents[5]


@pytest.fixture(scope="session")
def interpreted() -> Iterator[Any]:
    """Return a function (module, function, *arguments) -> (result, arguments), run by Triton's interpreter."""
    pytest.importorskip("triton")
    spec = importlib.util.spec_from_file_location("interpreter", INTERPRETER)
    messages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(messages)
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(INTERPRETER)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:

        def call(module: str, function: str, *arguments: Any, **options: Any) -> tuple[Any, Any]:
            messages.send(process.stdin, (f"worker.engine.kernels.fused.{module}", function, arguments, options))
            result, arguments_after = messages.receive(process.stdout)
            if isinstance(result, Exception):
                raise result
            return result, arguments_after

        yield call
        process.stdin.close()
