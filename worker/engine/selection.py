"""Chooses the engine of a process and makes it.

Imports no engine before it is asked for one, and never torch: that is the engine process's.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from producer.contract.narration import EngineName
from worker.engine.chatterboxmaker import ChatterboxMaker
from worker.engine.protocol import Engine
from worker.engine.remote.engineprocess import EngineProcess
from worker.engine.tone import ToneEngine
from worker.errors import WorkerStartError
from worker.gpus import does_torch_find_cuda
from worker.models.checkpoint import check_folder, find_models
from worker.settings import WorkerSettings

#: What an engine imports beyond the base install, and the extra that brings it.
_NEEDS: Final = {
    EngineName.TONE: ((), "worker"),
    EngineName.DRAFT: (("hibari",), "draft"),
    EngineName.CHATTERBOX: (("torch", "transformers", "safetensors", "chatterbox", "perth"), "gpu"),
}


def choose_engine(settings: WorkerSettings) -> tuple[EngineName, str]:
    """Return the engine that this process runs and, as a sentence, why; never AUTO.

    AUTO is Chatterbox where there are both a CUDA device and weights, and the draft voice everywhere else.
    """
    if settings.engine is not EngineName.AUTO:
        return settings.engine, f"engine {settings.engine.value}, as CHATTERQUEUE_ENGINE says"
    if obstacle := _obstacle_to_chatterbox(settings):
        return EngineName.DRAFT, f"engine draft, because {obstacle}"
    return EngineName.CHATTERBOX, "engine chatterbox, because there are weights and a CUDA device"


def build_engine(name: EngineName, settings: WorkerSettings) -> Engine:
    """Return an engine that is not loaded yet.

    Raises:
        WorkerStartError: if what it needs is not installed or not set, naming what to do.
        ModelLoadError: if the folder of the weights lacks a file.
    """
    modules, extra = _NEEDS.get(name, ((), ""))
    if missing := _missing(modules):
        raise WorkerStartError(
            f"engine {name.value} needs {', '.join(missing)}, not installed here: "
            f"run `pip install 'chatterqueue[{extra}]'`"
        )
    if name is EngineName.TONE:
        return ToneEngine(segment_s=settings.tone_segment_s, num_threads=settings.num_threads)
    if name is EngineName.DRAFT:
        from worker.engine.draft import DraftEngine

        return DraftEngine(num_threads=settings.num_threads)
    if name is EngineName.CHATTERBOX:
        maker = ChatterboxMaker.of(settings)
        check_folder(maker.model_dir)  # before a process is started, which takes ten seconds and more
        return EngineProcess(maker, log_level=settings.log_level)
    raise WorkerStartError(f"engine {name.value} cannot be built; ask choose_engine first")


def _obstacle_to_chatterbox(settings: WorkerSettings) -> str:
    """Return the end of a sentence that says why Chatterbox cannot run here by itself; empty if it can."""
    if settings.model_dir is None:
        return "CHATTERQUEUE_MODEL_DIR is not set"
    if not find_models(settings.model_dir):
        return f"{settings.model_dir} holds no Chatterbox weights"
    modules, extra = _NEEDS[EngineName.CHATTERBOX]
    if missing := _missing(modules):
        return f"{', '.join(missing)} is not installed (`pip install 'chatterqueue[{extra}]'`)"
    if settings.device == "cpu":
        return "CHATTERQUEUE_DEVICE is cpu"
    return "" if does_torch_find_cuda() else "there is no CUDA device"


def _missing(modules: tuple[str, ...]) -> list[str]:
    return [module for module in modules if find_spec(module) is None]
