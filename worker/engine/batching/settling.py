"""The last stage: audio is checked and futures are given their end, on a thread where nothing waits for it.

Whoever waits for a future may have attached work to it; that work runs here, and neither decoding nor rendering
stands still meanwhile. Knows nothing of how audio is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.engine.batching.gauges import Rate
from worker.engine.batching.inbox import Inbox
from worker.engine.batching.utterance import Utterance
from worker.engine.executor import check_audio
from worker.engine.request import Take
from worker.errors import SynthesisError

#: What an utterance ends with.
Outcome = NDArray[np.float32] | BaseException


class Settle(Protocol):
    """How the other stages hand over an utterance that has come to its end."""

    def __call__(self, utterance: Utterance, outcome: Outcome) -> None:
        """Give it its end soon."""
        ...


@dataclass(frozen=True, slots=True)
class Sound:
    """What is the same in every take of an engine."""

    sample_rate_hz: int
    is_watermarked: bool


class Settling:
    """Turns audio into takes."""

    def __init__(self, sound: Sound, *, audio_s: Rate) -> None:
        self.inbox: Inbox[tuple[Utterance, Outcome]] = Inbox()
        self._sound = sound
        self._audio_s = audio_s

    def settle(self, utterance: Utterance, outcome: Outcome) -> None:
        """Have an utterance end soon."""
        self.inbox.put((utterance, outcome))

    def turn(self) -> float | None:
        """Settle one utterance."""
        entry = self.inbox.take()
        if entry is None:
            return None
        utterance, outcome = entry
        utterance.future.end(outcome if isinstance(outcome, BaseException) else self._take(utterance, outcome))
        return 0.0

    def _take(self, utterance: Utterance, pcm: NDArray[np.float32]) -> Take | SynthesisError:
        usage, places = utterance.usage, utterance.places()
        take = Take(
            pcm=pcm,
            sample_rate_hz=self._sound.sample_rate_hz,
            seed=utterance.seed,
            synthesis_s=usage.engine_s,
            is_watermarked=self._sound.is_watermarked,
            usage=usage,
            tokens=None if utterance.tokens is None else np.asarray(utterance.tokens),
            text_positions=places.text_positions if places else None,
            text_spans=places.text_spans if places else None,
        )
        try:
            check_audio(take)
        except SynthesisError as error:
            return error
        self._audio_s.add(len(pcm) / take.sample_rate_hz)
        return take
