"""A Chatterbox engine as a description: travels into an engine process and is made there.

Imports no torch before it makes one, and holds none of the settings that an engine does not need.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

from producer.contract.narration import EngineName
from worker.engine.remote.facts import ServedEngine
from worker.errors import WorkerStartError
from worker.settings import WorkerSettings


@dataclass(frozen=True)
class ChatterboxMaker:
    """What `worker.engine.chatterbox.ChatterboxEngine` is made of; its fields are explained there."""

    name: ClassVar[EngineName] = EngineName.CHATTERBOX

    model_dir: Path
    cache_dir: Path
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "int8", "bf16", "fp32"]
    verification: Literal["full", "stamp"]
    is_lock_required: bool
    num_threads: int
    max_cached_voices: int
    max_slots: int | None
    max_render_frames: int | None

    @classmethod
    def of(cls, settings: WorkerSettings) -> Self:
        """Take what concerns the engine out of the worker's settings.

        Raises:
            WorkerStartError: if they do not say where the weights are.
        """
        if settings.model_dir is None:
            raise WorkerStartError(
                "engine chatterbox needs weights: set CHATTERQUEUE_MODEL_DIR to the folder of a checkpoint"
            )
        return cls(
            model_dir=settings.model_dir,
            cache_dir=settings.cache_dir,
            device=settings.device,
            precision=settings.precision,
            verification=settings.verification,
            is_lock_required=settings.require_lock,
            num_threads=settings.num_threads,
            max_cached_voices=settings.max_cached_voices,
            max_slots=settings.max_slots,
            max_render_frames=settings.max_render_frames,
        )

    def make(self) -> ServedEngine:
        """Return the engine, not loaded yet; imports torch."""
        # bitsandbytes has torch compile functions for devices without kernels of its own while it is imported, which
        # brings in a compiler that nothing else here asks for: three seconds.
        os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
        from worker.engine.chatterbox import ChatterboxEngine
        from worker.models.weights import Verification

        return ChatterboxEngine(
            self.model_dir,
            cache_dir=self.cache_dir,
            device=self.device,
            precision=self.precision,
            verification=Verification(self.verification),
            is_lock_required=self.is_lock_required,
            num_threads=self.num_threads,
            max_cached_voices=self.max_cached_voices,
            max_slots=self.max_slots,
            max_render_frames=self.max_render_frames,
        )
