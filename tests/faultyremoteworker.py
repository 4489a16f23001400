"""As `faultyworker`, with the engine that breaks in a process of its own."""

from __future__ import annotations

from faultyengine import FaultyMaker

from worker import process
from worker.engine.remote.engineprocess import EngineProcess

process.build_engine = lambda name, settings: EngineProcess(FaultyMaker(settings.tone_segment_s))

from worker.app import app  # noqa: E402 - after the engine was replaced

__all__ = ["app"]
