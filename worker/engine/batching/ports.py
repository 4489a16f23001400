"""What the batching engine drives, by Protocols: a decoder, a renderer, a preparation, and the device they share.

Prompts, tokens and speeches pass through here unopened; only the two sides of a port know what is in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from worker.engine.request import SegmentRequest
from worker.errors import SynthesisError


@dataclass(frozen=True, slots=True)
class Places:
    """Where in its text a speech is; see the fields of `worker.engine.request.Take`."""

    text_positions: NDArray[np.integer]
    #: None: the text tokens are not known to be of certain characters.
    text_spans: NDArray[np.integer] | None


class Speech(Protocol):
    """What the renderer turns into audio."""

    @property
    def num_frames(self) -> int:
        """What it adds to a batch, in mel frames, its voice's reference included."""
        ...


class Script(Protocol):
    """A request made ready to be spoken, with any seed and as often as it takes."""

    def prompt(self, seed: int) -> Any:
        """Return what the decoder is asked to speak; called on the decode thread, so it must be cheap."""
        ...

    def speech(self, tokens: Any, seed: int) -> Speech:
        """Return what the renderer turns into audio.

        Raises:
            NoSpeechError: there is nothing to hear in the tokens; another seed may do better.
            SynthesisError: the tokens cannot be rendered.
        """
        ...

    def places(self, tokens: Any, text_positions: Any) -> Places:
        """Return where in the text the speech of these tokens is, of which the decoder says the positions."""
        ...


class Preparation(Protocol):
    """Tokens and voices, on a thread of their own."""

    def prepare(self, request: SegmentRequest) -> Script:
        """Return the script of a request; voices are kept for the next one.

        Raises:
            SynthesisError: it cannot be spoken.
        """
        ...


class Spoken(Protocol):
    """The end of the speech in one slot; the slot is free again."""

    @property
    def slot(self) -> int:
        """Which slot it was in."""
        ...

    @property
    def tokens(self) -> Any:
        """Speech tokens without the end token."""
        ...

    @property
    def has_ended(self) -> bool:
        """False: the ceiling was reached before the end of the speech."""
        ...

    @property
    def is_finite(self) -> bool:
        """False: the logits of this slot were not finite."""
        ...

    @property
    def text_positions(self) -> Any:
        """Of each token, which text token was being spoken; None if the model does not say so."""
        ...


class Decoder(Protocol):
    """Prompts to speech tokens, in slots (`worker.engine.t3.decoder`). Used by one thread only.

    A call that raises has changed nothing that outlives `release` of all live slots: whoever was in them can be
    admitted again.
    """

    @property
    def num_slots(self) -> int:
        """Prompts with guidance that it can hold at once."""
        ...

    def fits(self, prompt: Any) -> str | None:
        """Return why a prompt can never be spoken, None if it can; from any thread."""
        ...

    def can_admit(self, prompts: Sequence[Any]) -> bool:
        """Say whether there is room for all of them now."""
        ...

    def admit(self, prompts: Sequence[Any]) -> list[int]:
        """Give each prompt a slot, all or none."""
        ...

    def step(self, num_steps: int = 1) -> None:
        """Launch that many steps over all live slots; does not wait for the device."""
        ...

    def poll(self, *, is_blocking: bool = False) -> Sequence[Spoken]:
        """Return the slots that have ended, as far as is known.

        Blocking waits for everything that was launched. Otherwise it may lag behind, by so little that a caller who
        polls after each launch is never far ahead of the device.
        """
        ...

    def release(self, slots: Sequence[int]) -> None:
        """Forget what is in these slots."""
        ...


class Renderer(Protocol):
    """Speech tokens to audio, in batches (`worker.engine.s3gen.renderer`). Used by one thread only."""

    @property
    def max_frames_per_batch(self) -> int:
        """Mel frames beyond which a larger batch is no faster or does not fit."""
        ...

    def render(self, speeches: Sequence[Any]) -> Sequence[NDArray[np.float32] | SynthesisError]:
        """Return for each speech its audio, [S] float32, or why there is none."""
        ...


class Device(Protocol):
    """What the machine under both of them says (`worker.engine.torchdevice`)."""

    def is_fault(self, error: BaseException) -> bool:
        """Say whether only a new process can use the device again."""
        ...

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Say whether the same call may succeed with less."""
        ...

    def release_memory(self) -> None:
        """Give back what is cached and not in use; called when nothing holds the failed call's tensors any more."""
        ...

    def used_bytes(self) -> int:
        """Return how much of the device's memory this process holds; 0 on a CPU."""
        ...
