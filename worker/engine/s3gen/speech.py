"""A speech: the tokens of one utterance, ready to become audio, and what makes it unrenderable.

Knows nothing of batches, and imports torch for its types only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from worker.errors import SynthesisError

if TYPE_CHECKING:
    import torch

#: Mel frames that the flow makes of one speech token: 25 tokens and 50 frames a second.
FRAMES_PER_TOKEN: Final = 2

_REFERENCE_TENSORS: Final = ("prompt_token", "prompt_feat", "embedding")


@dataclass(frozen=True, slots=True)
class Speech:
    """What one utterance says, in whose voice, and with which noise.

    Attributes:
        tokens: [T] int64, T >= 1, each below the size of the flow's vocabulary.
        reference: the voice, as `S3Gen.embed_ref` makes it; never changed. One object for all speeches of a voice.
        seed: everything random in this utterance follows from it alone, whatever else is in the batch.
    """

    tokens: torch.Tensor
    reference: Mapping[str, Any]
    seed: int

    @property
    def num_prompt_frames(self) -> int:
        """Mel frames of the voice's prompt, which the flow continues and which are then cut off."""
        return int(self.reference["prompt_feat"].shape[-2])

    @property
    def num_frames(self) -> int:
        """Mel frames that the flow works on: those of the prompt and those that will be heard."""
        num_prompt_tokens = int(self.reference["prompt_token"].shape[-1])
        return FRAMES_PER_TOKEN * (num_prompt_tokens + int(self.tokens.numel()))


def find_fault(speech: Speech, num_sounds: int) -> SynthesisError | None:
    """Return why a speech cannot be rendered, or None.

    The tokens are looked at here because a token that is out of range would stop the whole CUDA context.

    Args:
        speech: its tokens may lie on the GPU; that costs a wait for the stream.
        num_sounds: size of the flow's vocabulary.
    """
    missing = [name for name in _REFERENCE_TENSORS if speech.reference.get(name) is None]
    if missing:
        return SynthesisError(f"the voice has no {', '.join(missing)}")
    if speech.tokens.numel() == 0:
        return SynthesisError("there are no speech tokens")
    if speech.tokens.is_floating_point():
        return SynthesisError("speech tokens are whole numbers")
    lowest, highest = (int(value) for value in speech.tokens.aminmax())
    if lowest < 0 or highest >= num_sounds:
        return SynthesisError(f"speech token {highest if highest >= num_sounds else lowest} has no sound")
    if speech.num_frames <= speech.num_prompt_frames:
        return SynthesisError("the voice's prompt has more frames than its tokens and the speech together")
    return None
