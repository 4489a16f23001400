"""The first stage: requests to scripts, one at a time, so that the decode thread never tokenises or enrols a voice.

Knows nothing of tokens or voices themselves.
"""

from __future__ import annotations

from collections.abc import Callable

from worker.engine.batching.failure import Cause, Failure
from worker.engine.batching.inbox import Inbox
from worker.engine.batching.ports import Decoder, Device, Preparation
from worker.engine.batching.settling import Settle
from worker.engine.batching.utterance import Utterance
from worker.errors import SegmentUnspeakableError


class Preparing:
    """Takes what was submitted and hands it on to the decoder."""

    def __init__(
        self,
        preparation: Preparation,
        decoder: Decoder,
        device: Device,
        *,
        hand_on: Callable[[Utterance], None],
        settle: Settle,
    ) -> None:
        self.inbox: Inbox[Utterance] = Inbox()
        self._preparation = preparation
        self._decoder = decoder
        self._device = device
        self._hand_on = hand_on
        self._settle = settle

    def turn(self) -> float | None:
        """Prepare one utterance.

        Raises:
            EngineFaultError: the device can no longer be used.
        """
        utterance = self.inbox.take()
        if utterance is None:
            return None
        failure = self._prepare(utterance) if utterance.future.is_wanted else None
        if failure is None:
            self._hand_on(utterance)
            return 0.0
        if failure.cause is Cause.MEMORY:
            self._device.release_memory()
        self._settle(utterance, failure.error)
        failure.require_device()
        return 0.0

    def _prepare(self, utterance: Utterance) -> Failure | None:
        try:
            utterance.script = self._preparation.prepare(utterance.request)
            reason = self._decoder.fits(utterance.prompt())
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this utterance and no other
            return Failure.of(error, self._device)
        return Failure(Cause.OTHER, SegmentUnspeakableError(reason)) if reason else None
