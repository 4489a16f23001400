"""A worker process whose Chatterbox engine meets with an accident once: `python -m faultygpuworker`.

As `python -m worker`, which has no such hooks: this module replaces what builds the engine before the app is imported.
The accident happens in the engine process: `unluckyengine`.
"""

from __future__ import annotations

import os
from typing import Any

from unluckyengine import UnluckyMaker

from producer.contract.narration import EngineName
from worker import process
from worker.engine.remote.engineprocess import EngineProcess
from worker.parent import PARENT_VARIABLE, die_with_parent

_build_engine = process.build_engine


def build_engine(name: EngineName, settings: Any) -> Any:
    """Return the real engine; Chatterbox with its accident to come."""
    if name is EngineName.CHATTERBOX:
        return EngineProcess(UnluckyMaker.of(settings))
    return _build_engine(name, settings)


def main() -> None:
    """Run until a signal ends it, as `python -m worker` does."""
    if PARENT_VARIABLE in os.environ:
        die_with_parent(int(os.environ[PARENT_VARIABLE]))
    process.build_engine = build_engine
    from worker.__main__ import OPTIONS
    from worker.app import app

    app.worker_main(OPTIONS)


if __name__ == "__main__":
    main()
