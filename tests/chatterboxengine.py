"""The Chatterbox engine on a CPU, of whatever checkpoint, as its own process makes it but in this one."""

from __future__ import annotations

from pathlib import Path

from worker.engine.chatterboxmaker import ChatterboxMaker
from worker.engine.protocol import Engine
from worker.settings import WorkerSettings


def settings_of(model_dir: Path, **settings: object) -> WorkerSettings:
    return WorkerSettings(
        model_dir=model_dir, **{"device": "cpu", "num_threads": 2, "cache_dir": model_dir, **settings}
    )


def built(model_dir: Path, **settings: object) -> Engine:
    """Return the engine, which is not loaded yet; a test can look into it."""
    return ChatterboxMaker.of(settings_of(model_dir, **settings)).make()
