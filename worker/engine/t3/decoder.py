"""The face of this package: takes prompts, steps all of them at once, gives back what has been spoken.

Called from one thread. Everything is launched in the order of one CUDA stream; `poll` alone may wait, and then for
work that lies behind. Knows nothing of queues, retries or audio.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.t3.alignment import AlignmentWatch
from worker.engine.t3.graphs import Graphs
from worker.engine.t3.kv_cache import KVCache
from worker.engine.t3.lanes import Lanes, LiveSlot, StepShape, shapes
from worker.engine.t3.limits import Limits
from worker.engine.t3.noise import Noise
from worker.engine.t3.prefill import Prefill
from worker.engine.t3.prompt import Prompt, Spoken
from worker.engine.t3.rowpool import RowPool
from worker.engine.t3.sampler import Sampler
from worker.engine.t3.slotstate import SlotState
from worker.engine.t3.step import DecodeStep
from worker.engine.t3.transformer import Transformer
from worker.engine.t3.weights import join_weights
from worker.engine.transfer import HostCopy, to_device
from worker.errors import SegmentUnspeakableError

if TYPE_CHECKING:
    from worker.models.precision import Precision

#: Reports that may be on their way: so many polls does the host run ahead of a GPU before it waits.
_MAX_PENDING: Final = 2


@dataclass(frozen=True, slots=True)
class _Report:
    """The state of the slots as it was at a poll, and who was in them."""

    state: HostCopy
    occupants: dict[int, LiveSlot]


class Decoder:
    """Speaks many prompts at once with one T3.

    A slot is the place of a prompt while it is spoken; its number is that of the cache row that leads it.

    Attributes:
        num_slots: prompts with guidance that fit at once.
        num_rows: rows of the cache; a prompt without guidance takes one, any other two.
    """

    def __init__(
        self,
        t3: Any,
        *,
        precision: Precision,
        num_slots: int,
        max_positions: int,
        device: str | torch.device,
        draw_noise: Noise | None = None,
    ) -> None:
        """Take a loaded T3 and allocate everything that decoding needs.

        Args:
            t3: on the device, in the precision. Its layers are joined in place; it can still be used otherwise.
            precision: of its weights.
            num_slots: see the class; `worker.engine.t3.slotsize` says what one takes.
            max_positions: voice, text and speech of a prompt together.
            device: where T3 is.
            draw_noise: another source of randomness, for tests.
        """
        self.num_slots = num_slots
        self.num_rows = 2 * num_slots
        self._rows = RowPool(self.num_rows)
        self._live: dict[int, LiveSlot] = {}
        self._pending: deque[_Report] = deque()
        # None: the lanes have to be assigned anew before the next step.
        self._shape: StepShape | None = None
        self._stream, self._fetch_stream = _new_stream(device), _new_stream(device)
        # Not in inference mode: the modules of T3 share this memory, and others use them.
        with torch.no_grad():
            self._weights = join_weights(t3, num_positions=max_positions)
        self._follow_caller()
        with self._launching():
            self._allocate(t3, max_positions, draw_noise)
        assert self._weights.precision == precision, f"T3 is {self._weights.precision}, not {precision}"

    def _allocate(self, t3: Any, max_positions: int, draw_noise: Noise | None) -> None:
        weights = self._weights
        self._limits = Limits.of(weights, num_rows=self.num_rows, num_positions=max_positions)
        self._cache = KVCache(weights, num_rows=self.num_rows, num_positions=max_positions)
        self._transformer = Transformer(weights, self._cache)
        self._prefill = Prefill(t3, weights, self._transformer, self._cache)
        self._state = SlotState(
            num_rows=self.num_rows,
            num_positions=max_positions,
            num_speech_tokens=weights.speech_head.num_outputs,
            start_token=weights.start_token,
            device=weights.device,
        )
        self._lanes = Lanes(num_rows=self.num_rows, device=weights.device)
        self._alignment = AlignmentWatch(weights, self._cache, self._state) if weights.analysed_heads else None
        sampler = Sampler(self._state, stop_token=weights.stop_token, draw_noise=draw_noise)
        step = DecodeStep(weights, self._transformer, self._state, self._lanes, sampler, alignment=self._alignment)
        self._graphs: Graphs[StepShape] = Graphs(step)

    @property
    def num_live(self) -> int:
        """Prompts that have been admitted and neither given back nor released."""
        return len(self._live)

    @property
    def num_free_rows(self) -> int:
        """Rows that the next prompts can take."""
        return self._rows.num_free

    def warm_up(self) -> None:
        """Compile kernels and capture CUDA graphs for each size of a prefill and of a step; before the first prompt."""
        assert not self._live
        if self._stream is None:
            return
        with self._launching():
            pool = torch.cuda.graph_pool_handle()
            self._prefill.warm_up(pool)
            self._graphs.capture(shapes(self.num_rows), pool)
        self._stream.synchronize()
        # What was run before each capture is run no more, and its memory lies idle outside of the pool.
        torch.cuda.empty_cache()

    def fits(self, prompt: Prompt) -> str | None:
        """Return why a prompt cannot be spoken, however empty the decoder is; None if it can."""
        return self._limits.why_not(prompt)

    def most_tokens(self, num_text_tokens: int) -> int:
        """Return the highest ceiling for a text of so many tokens, start and stop token included."""
        return self._limits.most_tokens(num_text_tokens)

    def can_admit(self, prompts: Sequence[Prompt]) -> bool:
        """Return whether there are rows for all of them now."""
        return sum(prompt.num_rows for prompt in prompts) <= self._rows.num_free

    def admit(self, prompts: Sequence[Prompt]) -> list[int]:
        """Begin to speak some prompts; they take part from the next step on. Launches only.

        A voice that was made on the current stream of the caller may still be on its way.

        Returns:
            The slot of each.

        Raises:
            SegmentUnspeakableError: one of them does not fit; none is admitted.
        """
        for prompt in prompts:
            if (fault := self.fits(prompt)) is not None:
                raise SegmentUnspeakableError(fault)
        assert self.can_admit(prompts)
        if not prompts:
            return []
        rows = [self._rows.take(prompt.num_rows) for prompt in prompts]
        self._follow_caller()
        try:
            with self._launching():
                self._prefill.read(prompts, rows)
                begun = self._state.begin(prompts, rows, num_voice_positions=self._weights.num_voice_positions)
                if self._alignment is not None:
                    self._alignment.begin(begun)
        except BaseException:
            for own_rows in rows:
                self._rows.give_back(own_rows)
            raise
        for prompt, own_rows in zip(prompts, rows, strict=True):
            self._live[own_rows[0]] = LiveSlot(own_rows, has_top_p=prompt.sampling.top_p < 1)
        self._shape = None
        return [own_rows[0] for own_rows in rows]

    def step(self, num_steps: int = 1) -> None:
        """Draw so many tokens in each live slot; a slot that ends meanwhile stands still. Launches only."""
        if not self._live:
            return
        with self._launching():
            if self._shape is None:
                self._shape = self._lanes.assign(list(self._live.values()))
            for _ in range(num_steps):
                self._graphs.run(self._shape)

    def poll(self, *, is_blocking: bool = False) -> list[Spoken]:
        """Return what has been spoken since, and free its slots.

        The state of the slots is copied behind all steps launched so far, and looked at in this call if the copy has
        arrived, else in a later one. So the host runs ahead of a GPU, by `_MAX_PENDING` polls at most.

        Args:
            is_blocking: wait for all steps launched so far.
        """
        if self._live:
            with self._launching():
                self._pending.append(_Report(HostCopy(self._state.watched), dict(self._live)))
        spoken: list[Spoken] = []
        while self._pending and (
            is_blocking or len(self._pending) > _MAX_PENDING or self._pending[0].state.has_arrived
        ):
            spoken.extend(self._collect(self._pending.popleft()))
        return spoken

    def release(self, slots: Iterable[int]) -> None:
        """Stop speaking in some slots and free them; what they have spoken is lost."""
        for slot in slots:
            self._rows.give_back(self._live.pop(slot).rows)
            self._shape = None

    def _collect(self, report: _Report) -> list[Spoken]:
        """Take what a report says has ended out of its slots."""
        num_tokens, is_done, has_ended, is_finite = report.state.wait().tolist()
        # A slot may have been released since, and even taken again.
        slots = [
            slot for slot, occupant in report.occupants.items() if is_done[slot] and self._live.get(slot) is occupant
        ]
        if not slots:
            return []
        output, trail = self._fetch_output(slots, max(num_tokens[slot] for slot in slots))
        self.release(slots)
        return [
            Spoken(
                slot,
                output[index, : num_tokens[slot]].clone(),
                bool(has_ended[slot]),
                bool(is_finite[slot]),
                None if trail is None else trail[index, : num_tokens[slot]].clone(),
            )
            for index, slot in enumerate(slots)
        ]

    def _fetch_output(self, slots: list[int], num_tokens: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the tokens of slots that are done, [N, num_tokens] int64 on the CPU, and their places in the text.

        The places are [N, num_tokens] int16; None if nothing watches them.

        On a stream of its own: in the order of the decode stream it would wait for all steps launched since.
        """
        with torch.inference_mode(), torch.cuda.stream(self._fetch_stream):
            index = to_device(torch.tensor(slots), self._weights.device)
            output = HostCopy(self._state.output[index, :num_tokens])
            trail = None if self._alignment is None else HostCopy(self._alignment.trail[index, :num_tokens])
            return output.wait(), None if trail is None else trail.wait()

    def _follow_caller(self) -> None:
        """Let the decode stream wait for what the caller has launched on its own stream."""
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))

    @contextmanager
    def _launching(self) -> Iterator[None]:
        """Launch on the decode stream."""
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            yield


def _new_stream(device: str | torch.device) -> torch.cuda.Stream | None:
    """Return a new stream; None where there are none."""
    if torch.device(device).type != "cuda":
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
