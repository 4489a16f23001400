"""The test engine: speaks a hash of each segment's text as tones, so that a test hears what is where.

Knows nothing of voices, languages or models: it takes them all and sounds the same.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Final

from producer.contract.narration import EngineName, ModelName
from worker.engine.executor import SegmentExecutor
from worker.engine.fingerprint import decode_tones, encode_tones, tone_hash
from worker.engine.protocol import EngineHealth
from worker.engine.request import SegmentRequest, Take

__all__ = ["SAMPLE_RATE_HZ", "ToneEngine", "decode_tones", "tone_hash"]

SAMPLE_RATE_HZ: Final = 24_000


class ToneEngine:
    """Writes 0.5 s of tones for each segment; `worker.engine.fingerprint.decode_tones` reads them back.

    With `segment_s` it behaves as one GPU would: each segment takes that long, one at a time.
    """

    name = EngineName.TONE
    sample_rate_hz = SAMPLE_RATE_HZ
    is_watermarked = False

    def __init__(self, *, segment_s: float = 0.0, num_threads: int = 2) -> None:
        self._segment_s = segment_s
        self.num_slots = 1 if segment_s > 0 else num_threads
        self._executor = SegmentExecutor(self._speak, num_threads=self.num_slots, name="tone-engine")

    def load(self) -> None:
        """Start the threads."""
        self._executor.start()

    def warm_up(self) -> None:
        """Speak once."""
        encode_tones(tone_hash(""), SAMPLE_RATE_HZ)

    def identity(self, model: ModelName) -> str:
        """Return the engine's name and the version of its tones."""
        return "tone/1"

    def submit(self, request: SegmentRequest) -> Future[Take]:
        """Queue a segment; see `worker.engine.protocol.Engine.submit`."""
        return self._executor.submit(request)

    def health(self) -> EngineHealth:
        """Return how it does."""
        return self._executor.health()

    def close(self, timeout_s: float) -> None:
        """Take no more segments and wait for those being spoken."""
        self._executor.close(timeout_s)

    def _speak(self, request: SegmentRequest) -> Take:
        started_s = time.monotonic()
        if self._segment_s:
            time.sleep(self._segment_s)
        return Take(
            pcm=encode_tones(tone_hash(request.text), SAMPLE_RATE_HZ),
            sample_rate_hz=SAMPLE_RATE_HZ,
            seed=request.seed,
            synthesis_s=time.monotonic() - started_s,
            is_watermarked=False,
        )
