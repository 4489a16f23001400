"""The draft engine: a small English voice on the CPU (hibari), a hundred times faster than speech.

Knows one voice and one language. hibari is imported when the engine is loaded, not before.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from importlib.metadata import version
from typing import Any, Final

import numpy as np

from producer.contract.narration import EngineName, ModelName
from worker.engine.executor import SegmentExecutor
from worker.engine.protocol import EngineHealth
from worker.engine.request import SegmentRequest, Take
from worker.errors import (
    LanguageUnsupportedError,
    SegmentUnspeakableError,
    VoiceUnsupportedError,
    WorkerStartError,
)

SAMPLE_RATE_HZ: Final = 24_000


class DraftEngine:
    """Speaks with one model instance on several threads; a seed makes each take reproducible to the bit."""

    name = EngineName.DRAFT
    sample_rate_hz = SAMPLE_RATE_HZ
    is_watermarked = False

    def __init__(self, *, num_threads: int = 1) -> None:
        self.num_slots = num_threads
        self._voice: Any = None
        self._executor = SegmentExecutor(self._speak, num_threads=num_threads, name="draft-engine")

    def load(self) -> None:
        """Load the voice that is in the package; another name would make the package ask the network."""
        from hibari import Hibari

        try:
            self._voice = Hibari(threads=1)
        except Exception as error:
            raise WorkerStartError(f"the draft voice cannot be loaded: {type(error).__name__}: {error}") from error
        self._executor.start()

    def warm_up(self) -> None:
        """Speak once, which also loads the pronunciation rules before several threads ask for them."""
        if len(self._voice("Ready.", seed=0)) == 0:
            raise WorkerStartError("the draft voice gave no audio for its first word")

    def identity(self, model: ModelName) -> str:
        """Return engine, package version and voice; the draft voice has no models to choose from."""
        return f"draft/hibari-{version('hibari-tts')}/{self._voice.voice}"

    def submit(self, request: SegmentRequest) -> Future[Take]:
        """Queue a segment; see `worker.engine.protocol.Engine.submit`."""
        if request.language != "en":
            raise LanguageUnsupportedError(f"the draft engine speaks English only, not {request.language!r}")
        if request.voice is not None:
            raise VoiceUnsupportedError("the draft engine has one voice of its own; use the voice `default`")
        return self._executor.submit(request)

    def health(self) -> EngineHealth:
        """Return how it does."""
        return self._executor.health()

    def close(self, timeout_s: float) -> None:
        """Take no more segments and wait for those being spoken."""
        self._executor.close(timeout_s)

    def _speak(self, request: SegmentRequest) -> Take:
        started_s = time.monotonic()
        pcm = np.asarray(self._voice(request.text, seed=request.seed), np.float32)
        if len(pcm) == 0:  # signs that it has no sounds for, such as Chinese: the same on every attempt
            raise SegmentUnspeakableError("the draft voice has no sounds for this segment")
        return Take(
            pcm=pcm,
            sample_rate_hz=SAMPLE_RATE_HZ,
            seed=request.seed,
            synthesis_s=time.monotonic() - started_s,
            is_watermarked=False,
        )
