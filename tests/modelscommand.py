"""Runs `chatterqueue models` with a folder and a server of the test's own, in this process or in another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from hubserver import FakeHub

from worker.models.store import command


class Outcome(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class ModelsCommand:
    """Runs `chatterqueue models` with a folder and a server."""

    def __init__(self, hub: FakeHub, model_dir: Path, capture: pytest.CaptureFixture[str] | None = None) -> None:
        self.hub = hub
        self.dir = model_dir
        self.capture = capture

    def __call__(self, *arguments: str) -> Outcome:
        """Call the command in this process; needs `capture`."""
        assert self.capture is not None
        self.capture.readouterr()
        code = command.main(arguments, default_dir=self.dir)
        return Outcome(code, *self.capture.readouterr())

    def ok(self, *arguments: str) -> dict[str, object]:
        """Call a command that has to succeed, and return what it prints."""
        done = self(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        result: dict[str, object] = json.loads(done.stdout)
        return result

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        home = {"HF_HOME": str(self.dir.parent / "hf-home"), "HF_ENDPOINT": self.hub.endpoint}
        return {**kept, **home, "CHATTERQUEUE_MODEL_DIR": str(self.dir), **more}

    def process(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command as a process of its own."""
        program = [sys.executable, "-m", "worker.models.weights", *arguments]
        return self.python(program, **environment)

    def python(self, program: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """Run any process in the command's environment."""
        variables = self.environment(**environment)
        return subprocess.run(program, env=variables, capture_output=True, text=True, check=False)

    def names(self) -> set[str]:
        return {path.name for path in self.dir.iterdir() if not path.name.startswith(".models")}

    def content(self, name: str) -> bytes:
        return (self.dir / name).read_bytes()
