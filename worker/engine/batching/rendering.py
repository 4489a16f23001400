"""The render stage: one renderer that takes batches of speeches and gives audio, while the decode stage goes on.

An engine has one of these for each renderer; they share what waits. Knows nothing of tensors: speeches pass through
unopened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from worker.engine.batching.failure import Cause, Failure
from worker.engine.batching.inbox import Inbox
from worker.engine.batching.ports import Device, Renderer
from worker.engine.batching.renderqueue import Pending, RenderQueue
from worker.engine.batching.stageclock import StageClock
from worker.errors import SynthesisError


class Rendering:
    """One renderer at work."""

    def __init__(
        self,
        renderer: Renderer,
        queue: RenderQueue,
        device: Device,
        *,
        name: str,
        stage_clock: StageClock,
        on_progress: Callable[[], None],
    ) -> None:
        """Take what a turn needs.

        Args:
            renderer: used by whoever calls `turn`, and by nobody else.
            queue: what waits to be rendered.
            device: tells what an exception means.
            name: under which its time is counted.
            stage_clock: divides the engine's time.
            on_progress: called after each batch.
        """
        #: Its bell alone is used: what is to be rendered lies in the queue.
        self.inbox: Inbox[None] = Inbox()
        queue.attach(self.inbox.bell)
        self.name = name
        self._renderer = renderer
        self._queue = queue
        self._device = device
        self._stage_clock = stage_clock
        self._on_progress = on_progress

    def turn(self) -> float | None:
        """Render one batch, if it is time to.

        Raises:
            EngineFaultError: the device can no longer be used.
        """
        batch, wait_s = self._queue.next_batch()
        if batch:
            self._render(batch)
        return wait_s

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
            self._queue.end(entry.utterance, sound)
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
            self._queue.put_back(batch)
            return
        self._queue.end(batch[0].utterance, failure.error)
        if failure.cause is Cause.OTHER:
            self._queue.restore()
