"""The speeches that wait to be rendered: which make a batch, when it pays to begin one, and how large it may be.

Shared by all renderers of an engine. Knows nothing of tensors: tokens and speeches pass through unopened.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any, Final, Protocol

from worker.engine.batching.allowance import Allowance
from worker.engine.batching.failure import Failure
from worker.engine.batching.ports import Device
from worker.engine.batching.scheduler import Patience
from worker.engine.batching.settling import Outcome, Settle
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
    """How an utterance is given back to the decoder."""

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


class RenderQueue:
    """Those who wait, in order of rank. Safe for use from the threads of several renderers.

    Attributes:
        num_rendering: speeches that wait or are being rendered.
    """

    def __init__(
        self,
        device: Device,
        *,
        max_frames: int,
        clock: Callable[[], float],
        num_speaking: Callable[[], int],
        speak_again: SpeakAgain,
        settle: Settle,
        patience_s: float,
    ) -> None:
        """Take what a decision needs.

        Args:
            device: tells what an exception means.
            max_frames: of a batch; a longer speech is alone.
            clock: seconds that only go forward.
            num_speaking: how many utterances are being decoded: whether more speeches are to come.
            speak_again: given an utterance in whose tokens nothing can be heard.
            settle: given an utterance and its audio, or why there is none.
            patience_s: how long a speech waits for others.
        """
        self.num_rendering = 0
        self._come: deque[tuple[Utterance, Any]] = deque()  # append and popleft are atomic
        self._bells: list[threading.Event] = []
        self._device = device
        self._clock = clock
        self._num_speaking = num_speaking
        self._speak_again = speak_again
        self._settle = settle
        self._patience = Patience(max_frames, patience_s)
        self._frames = Allowance("render_frames", max_frames, clock=clock)
        self._pending: list[Pending] = []
        self._pending_lock = threading.Lock()
        self._count_lock = threading.Lock()

    def attach(self, bell: threading.Event) -> None:
        """Set an event whenever there may be something to render: each renderer has its own to wait for."""
        self._bells.append(bell)

    def put(self, utterance: Utterance, tokens: Any) -> None:
        """Have the tokens of an utterance rendered; from any thread."""
        self._count(1)
        self._come.append((utterance, tokens))
        self._ring()

    def next_batch(self) -> tuple[list[Pending], float | None]:
        """Return a batch for the caller to render, if it is time for one.

        Returns:
            The batch; and if it is empty the seconds until it may be time for one, None: when something has come.

        Raises:
            EngineFaultError: the device can no longer be used.
        """
        with self._pending_lock:
            while self._come:
                self._take_in(*self._come.popleft())
            self._drop_unwanted()
            if not self._pending:
                return [], None
            waited_s = self._clock() - min(entry.since_s for entry in self._pending)
            num_frames = sum(entry.num_frames for entry in self._pending)
            if not self._patience.is_over(num_frames, waited_s, can_grow=self._num_speaking() > 0):
                return [], max(self._patience.longest_s - waited_s, 0.001)
            batch = within(self._pending, self._frames.limit)
            del self._pending[: len(batch)]
            if self._pending:
                self._ring()  # another renderer may have nothing to do
        return batch, 0.0

    def put_back(self, batch: Sequence[Pending]) -> None:
        """Have a batch that failed rendered again, in smaller ones."""
        with self._pending_lock:
            self._frames.shrink(sum(entry.num_frames for entry in batch))
            self._pending[:0] = batch

    def restore(self) -> None:
        """Let batches be as large as before: whoever was to blame has been found."""
        with self._pending_lock:
            self._frames.restore()

    def end(self, utterance: Utterance, outcome: Outcome) -> None:
        """Settle an utterance that was rendered or never will be."""
        self._settle(utterance, outcome)
        self._count(-1)

    def _take_in(self, utterance: Utterance, tokens: Any) -> None:
        assert utterance.script is not None, "it was not prepared"
        try:
            speech = utterance.script.speech(tokens, utterance.seed)
        except NoSpeechError as error:
            self._speak_again(utterance, error)
            self._count(-1)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this utterance and no other
            failure = Failure.of(error, self._device)
        else:
            self._pending.append(Pending(utterance, speech, speech.num_frames, self._clock()))
            self._pending.sort(key=lambda entry: entry.utterance.rank)
            return
        failure.require_device()
        self.end(utterance, failure.error)

    def _drop_unwanted(self) -> None:
        for entry in [entry for entry in self._pending if not entry.utterance.future.is_wanted]:
            self._pending.remove(entry)
            self.end(entry.utterance, CancelledError())

    def _ring(self) -> None:
        for bell in self._bells:
            bell.set()

    def _count(self, change: int) -> None:
        with self._count_lock:
            self.num_rendering += change
