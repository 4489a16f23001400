"""The decode stage: admit, step, poll; and who begins again when a step fails.

Knows nothing of tensors: prompts and tokens pass through unopened.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from typing import Any, Final

from worker.engine.batching.allowance import Allowance
from worker.engine.batching.decodepolicy import DecodePolicy
from worker.engine.batching.failure import Cause, Failure
from worker.engine.batching.gauges import Rate
from worker.engine.batching.inbox import Inbox
from worker.engine.batching.ports import Decoder, Device, Spoken
from worker.engine.batching.scheduler import Scheduler
from worker.engine.batching.settling import Settle
from worker.engine.batching.stageclock import StageClock
from worker.engine.batching.utterance import Utterance
from worker.errors import NoEndOfSpeechError, SynthesisError

logger = logging.getLogger(__name__)

#: How often an utterance begins again because a batch that it was in failed. Halving finds one culprit among 512 in
#: nine failures; who is in more than that was unlucky, or is one of many.
MAX_RESTARTS: Final = 12

#: Seconds between two looks at whether a suspect can begin, or has ended.
_HOLD_S: Final = 0.02


class Decoding:
    """One decoder and those who wait for it."""

    name = "decode"

    def __init__(
        self,
        decoder: Decoder,
        device: Device,
        *,
        policy: DecodePolicy,
        clock: Callable[[], float],
        stage_clock: StageClock,
        tokens: Rate,
        num_rendering: Callable[[], int],
        hand_on: Callable[[Utterance, Any], None],
        settle: Settle,
        on_progress: Callable[[], None],
    ) -> None:
        """Take what a turn needs.

        Args:
            decoder: used by whoever calls `turn`, and by nobody else.
            device: tells what an exception means.
            policy: the knobs.
            clock: seconds that only go forward.
            stage_clock: divides the engine's time.
            tokens: counts steps times slots.
            num_rendering: how many speeches wait or are being rendered.
            hand_on: given an utterance and its tokens when its speech has ended.
            settle: given an utterance that ends here.
            on_progress: called when an utterance is admitted or ends its speech.
        """
        self.inbox: Inbox[Utterance] = Inbox()
        self.scheduler = Scheduler()
        self._decoder = decoder
        self._device = device
        self._policy = policy
        self._clock = clock
        self._stage_clock = stage_clock
        self._tokens = tokens
        self._num_rendering = num_rendering
        self._hand_on = hand_on
        self._settle = settle
        self._on_progress = on_progress
        self._slots = Allowance("slots", decoder.num_slots * 2, clock=clock)
        self._prefill = Allowance("prefill", policy.max_prefill, clock=clock)
        self._admissible_since_s: float | None = None

    def turn(self) -> float | None:
        """Admit, step and poll once.

        Raises:
            EngineFaultError: the device can no longer be used.
        """
        for utterance in self.inbox.take_all():
            self.scheduler.add(utterance)
        self._drop_unwanted()
        with self._stage_clock.working(self.name):
            self._admit()
            speaking = self.scheduler.speaking
            ended = self._step() if speaking else ()
        share_s = self._stage_clock.take(self.name) / max(1, len(speaking))
        for utterance in speaking:
            utterance.decode_s += share_s
        for spoken in ended:
            self._finish(spoken)
        if self.scheduler.num_speaking:
            return 0.0
        return (_HOLD_S if self._must_hold else 0.0) if self.scheduler.num_waiting else None

    @property
    def _must_hold(self) -> bool:
        return self.scheduler.must_hold(is_quiet=self._num_rendering() == 0)

    def speak_again(self, utterance: Utterance, error: SynthesisError) -> None:
        """Have an utterance spoken with its next seed; without one it ends with the error. From any thread."""
        logger.info("take_discarded", extra={"code": error.code, "seed": utterance.seed})
        if utterance.take_next_seed():
            self.inbox.put(utterance)
        else:
            self._settle(utterance, error)

    def _drop_unwanted(self) -> None:
        dropped = self.scheduler.drop_unwanted()
        if slots := self.scheduler.unwanted_slots():
            self._decoder.release(slots)
            dropped += [utterance for slot in slots if (utterance := self.scheduler.retire(slot))]
        for utterance in dropped:
            self._settle(utterance, CancelledError())

    def _admit(self) -> None:
        begun = []
        for utterance, prompt in self._next_batch():
            if utterance.future.begin():
                begun.append((utterance, prompt))
            else:  # cancelled just now
                self._settle(utterance, CancelledError())
        if not begun:
            return
        try:
            slots = self._decoder.admit([prompt for _, prompt in begun])
        except Exception as error:  # noqa: BLE001 - the decoder may raise anything; nobody is lost over it
            failure = Failure.of(error, self._device)
        else:
            for (utterance, _), slot in zip(begun, slots, strict=True):
                self.scheduler.place(utterance, slot)
            self._on_progress()
            return
        self._begin_again([utterance for utterance, _ in begun], failure, self._prefill)

    def _next_batch(self) -> list[tuple[Utterance, Any]]:
        if self._must_hold:
            return []
        num_speaking = self.scheduler.num_speaking
        most = min(self._prefill.limit, self._slots.limit - num_speaking)
        batch = self.scheduler.next_in(self._decoder.can_admit, most=most) if most > 0 else []
        if not batch:
            self._admissible_since_s = None
            if num_speaking == 0 and self.scheduler.num_waiting:
                # It would wait for ever: every slot is free already.
                self._settle(self.scheduler.take(1)[0], SynthesisError("the decoder has no room for this segment"))
            return []
        now_s = self._clock()
        since_s = self._admissible_since_s if self._admissible_since_s is not None else now_s
        if not self._policy.patience.is_over(len(batch), now_s - since_s, can_grow=num_speaking > 0):
            self._admissible_since_s = since_s
            return []
        self._admissible_since_s = None
        self.scheduler.take(len(batch))
        return batch

    def _step(self) -> Sequence[Spoken]:
        try:
            self._decoder.step(self._policy.steps_per_turn)
            ended = self._decoder.poll(is_blocking=self.scheduler.num_speaking <= self._policy.most_waited_for)
        except Exception as error:  # noqa: BLE001 - the same
            failure = Failure.of(error, self._device)
        else:
            self._tokens.add(self._policy.steps_per_turn * self.scheduler.num_speaking)
            return ended
        failure.require_device()
        # What the step has left in the slots is not known; takes follow from the seed alone, so to begin again costs
        # time and changes nothing.
        speaking = self.scheduler.retire_all()
        self._decoder.release(list(speaking))
        self._begin_again(list(speaking.values()), failure, self._slots)
        return ()

    def _begin_again(self, utterances: Sequence[Utterance], failure: Failure, allowance: Allowance) -> None:
        """Put back those whose batch failed; the batches become smaller until whoever is to blame fails alone."""
        failure.require_device()
        if failure.cause is Cause.MEMORY:
            self._device.release_memory()
        if len(utterances) == 1:
            self._settle(utterances[0], failure.error)
            if failure.cause is Cause.OTHER:
                allowance.restore()
            return
        allowance.shrink(len(utterances))
        for utterance in utterances:
            utterance.num_restarts += 1
            if utterance.num_restarts > MAX_RESTARTS:
                self._settle(utterance, failure.error)
            else:
                self.scheduler.add(utterance)

    def _finish(self, spoken: Spoken) -> None:
        utterance = self.scheduler.retire(spoken.slot)
        if utterance is None:  # released between the copy and the look
            return
        self._on_progress()
        if not spoken.is_finite:
            reason = "the model's logits are not finite: its weights are damaged or overflow in this precision"
            # Damaged weights fail with every seed. Others overflow after one row of tokens and not after another.
            self.speak_again(utterance, SynthesisError(reason))
        elif not spoken.has_ended:
            reason = f"no end of speech after {len(spoken.tokens)} tokens: the audio would be cut off or run away"
            self.speak_again(utterance, NoEndOfSpeechError(reason))
        else:
            utterance.tokens, utterance.text_positions = spoken.tokens, spoken.text_positions
            self._hand_on(utterance, spoken.tokens)
