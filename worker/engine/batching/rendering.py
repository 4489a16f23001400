"""The render stage: speeches to audio, in batches by mel frames, while the decode stage goes on.

Knows nothing of tensors: tokens and speeches pass through unopened.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from worker.engine.batching.allowance import Allowance
from worker.engine.batching.failure import Cause, Failure
from worker.engine.batching.inbox import Inbox
from worker.engine.batching.ports import Device, Renderer
from worker.engine.batching.scheduler import Patience
from worker.engine.batching.settling import Outcome, Settle
from worker.engine.batching.stageclock import StageClock
from worker.engine.batching.utterance import Utterance
from worker.errors import NoSpeechError, SynthesisError

#: Seconds that a speech waits for others at least, and for each slot that there is.
_PATIENCE_S: Final = 0.1
_PATIENCE_PER_SLOT_S: Final = 0.006


def patience_s(num_slots: int) -> float:
    """Return how long a speech waits for others while there are any being decoded.

    Speeches trickle in one by one, and a batch of one takes half as long as one of four. Of 128 slots one speech comes
    every 45 ms, so 17 come in these 0.8 s: a batch of 19 is 1.3 times as fast as one of 6, and 5 % slower than one of
    38 (`bench/results/flow.json`). Where few slots speak there are few to wait for.
    """
    return max(_PATIENCE_S, _PATIENCE_PER_SLOT_S * num_slots)


class SpeakAgain(Protocol):
    """How the render stage gives an utterance back to the decoder."""

    def __call__(self, utterance: Utterance, error: SynthesisError) -> None:
        """Try the next seed; without one the utterance ends with the error."""
        ...


@dataclass(frozen=True, slots=True)
class Pending:
    """A speech that waits to be rendered."""

    utterance: Utterance
    speech: Any
    num_frames: int
    #: When it came.
    since_s: float


def within(pending: Sequence[Pending], max_frames: int) -> list[Pending]:
    """Return the first of those who wait that fit into so many frames together; the first one always."""
    batch: list[Pending] = []
    num_frames = 0
    for entry in pending:
        num_frames += entry.num_frames
        if batch and num_frames > max_frames:
            break
        batch.append(entry)
    return batch


class Rendering:
    """One renderer and those who wait for it."""

    name = "render"

    def __init__(
        self,
        renderer: Renderer,
        device: Device,
        *,
        clock: Callable[[], float],
        stage_clock: StageClock,
        num_speaking: Callable[[], int],
        speak_again: SpeakAgain,
        settle: Settle,
        on_progress: Callable[[], None],
        patience_s: float,
    ) -> None:
        """Take what a turn needs.

        Args:
            renderer: used by whoever calls `turn`, and by nobody else.
            device: tells what an exception means.
            clock: seconds that only go forward.
            stage_clock: divides the engine's time.
            num_speaking: how many utterances are being decoded: whether more speeches are to come.
            speak_again: given an utterance in whose tokens nothing can be heard.
            settle: given an utterance and its audio, or why there is none.
            on_progress: called after each batch.
            patience_s: how long a speech waits for others.
        """
        self.inbox: Inbox[tuple[Utterance, Any]] = Inbox()
        self._renderer = renderer
        self._device = device
        self._clock = clock
        self._stage_clock = stage_clock
        self._num_speaking = num_speaking
        self._speak_again = speak_again
        self._settle = settle
        self._on_progress = on_progress
        self._patience = Patience(renderer.max_frames_per_batch, patience_s)
        self._frames = Allowance("render_frames", renderer.max_frames_per_batch, clock=clock)
        self._pending: list[Pending] = []
        self._lock = threading.Lock()
        #: Speeches that wait or are being rendered.
        self.num_rendering = 0

    def put(self, utterance: Utterance, tokens: Any) -> None:
        """Have the tokens of an utterance rendered; from any thread."""
        with self._lock:
            self.num_rendering += 1
        self.inbox.put((utterance, tokens))

    def turn(self) -> float | None:
        """Render one batch, if it is time to.

        Raises:
            EngineFaultError: the device can no longer be used.
        """
        for utterance, tokens in self.inbox.take_all():
            self._take_in(utterance, tokens)
        self._drop_unwanted()
        if not self._pending:
            return None
        waited_s = self._clock() - min(entry.since_s for entry in self._pending)
        num_frames = sum(entry.num_frames for entry in self._pending)
        if not self._patience.is_over(num_frames, waited_s, can_grow=self._num_speaking() > 0):
            return max(self._patience.longest_s - waited_s, 0.001)
        batch = within(self._pending, self._frames.limit)
        del self._pending[: len(batch)]
        self._render(batch)
        return 0.0

    def _take_in(self, utterance: Utterance, tokens: Any) -> None:
        assert utterance.script is not None, "it was not prepared"
        try:
            speech = utterance.script.speech(tokens, utterance.seed)
        except NoSpeechError as error:
            self._speak_again(utterance, error)
            self._leave()
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this utterance and no other
            failure = Failure.of(error, self._device)
        else:
            self._pending.append(Pending(utterance, speech, speech.num_frames, self._clock()))
            self._pending.sort(key=lambda entry: entry.utterance.rank)
            return
        failure.require_device()
        self._end(utterance, failure.error)

    def _drop_unwanted(self) -> None:
        for entry in [entry for entry in self._pending if not entry.utterance.future.is_wanted]:
            self._pending.remove(entry)
            self._end(entry.utterance, CancelledError())

    def _render(self, batch: Sequence[Pending]) -> None:
        failure: Failure | None = None
        sounds: Sequence[NDArray[np.float32] | SynthesisError] = ()
        try:
            with self._stage_clock.working(self.name):
                sounds = self._renderer.render([entry.speech for entry in batch])
        except Exception as error:  # noqa: BLE001 - the renderer may raise anything; nobody is lost over it
            failure = Failure.of(error, self._device)
        self._share(batch)
        if failure is not None:
            self._render_smaller(batch, failure)
            return
        for entry, sound in zip(batch, sounds, strict=True):
            self._end(entry.utterance, sound)
        self._on_progress()

    def _share(self, batch: Sequence[Pending]) -> None:
        seconds = self._stage_clock.take(self.name)
        num_frames = sum(entry.num_frames for entry in batch)
        for entry in batch:
            entry.utterance.render_s += seconds * entry.num_frames / max(1, num_frames)

    def _render_smaller(self, batch: Sequence[Pending], failure: Failure) -> None:
        """Put back those whose batch failed; the batches become smaller until whoever is to blame fails alone."""
        failure.require_device()
        if failure.cause is Cause.MEMORY:
            self._device.release_memory()
        if len(batch) > 1:
            self._frames.shrink(sum(entry.num_frames for entry in batch))
            self._pending[:0] = batch
            return
        self._end(batch[0].utterance, failure.error)
        if failure.cause is Cause.OTHER:
            self._frames.restore()

    def _end(self, utterance: Utterance, outcome: Outcome) -> None:
        self._settle(utterance, outcome)
        self._leave()

    def _leave(self) -> None:
        with self._lock:
            self.num_rendering -= 1
