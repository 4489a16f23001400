"""Speech tokens to samples: S3Gen as chatterbox-tts runs it, with token ids that stay whole numbers.

Knows nothing of T3 or watermarks.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from worker.errors import SynthesisError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch

#: Steps of the flow's solver; chatterbox-tts uses as many. Fewer are audible.
NUM_FLOW_STEPS: Final = 10

#: torch has one generator for all threads, and S3Gen draws from it; held while a seed of ours is in it.
_generator_lock = threading.RLock()


def vocode(s3gen: Any, tokens: torch.Tensor, reference: Mapping[str, Any], *, seed: int | None = None) -> torch.Tensor:
    """Turn speech tokens into samples.

    chatterbox-tts casts everything in the reference to the precision of S3Gen, in the caller's own dictionary: in
    half precision 44 % to 87 % of the token ids become other ids. Here numbers that are whole stay whole, and the
    caller's dictionary stays as it is.

    Args:
        s3gen: its flow may be in half precision, its vocoder may not.
        tokens: [N] int64, each below 6,561.
        reference: the voice, as `S3Gen.embed_ref` makes it.
        seed: makes the noise reproducible; None draws from torch's own generator, as chatterbox-tts does.

    Returns:
        [samples] float32 at 24 kHz, on the device of S3Gen.

    Raises:
        SynthesisError: there are no tokens, one is out of range, or the vocoder is in half precision.
    """
    import torch

    _require_range(tokens, s3gen.flow.vocab_size)
    if next(s3gen.mel2wav.parameters()).dtype != torch.float32:
        raise SynthesisError("the vocoder runs in float32 only: convert s3gen.flow, not s3gen")
    with torch.inference_mode(), _seeded(seed, s3gen.device):
        mels, _ = s3gen.flow.inference(
            token=tokens[None].to(s3gen.device),
            token_len=torch.tensor([tokens.numel()], device=s3gen.device),
            finalize=True,
            n_timesteps=NUM_FLOW_STEPS,
            **_fitted(reference, s3gen.device, s3gen.dtype),
        )
        no_source = torch.zeros(1, 1, 0, device=s3gen.device)
        samples, _ = s3gen.mel2wav.inference(speech_feat=mels.float(), cache_source=no_source)
        fade = s3gen.trim_fade
        samples[:, : len(fade)] *= fade
    spoken: torch.Tensor = samples[0]
    return spoken


def _require_range(tokens: torch.Tensor, num_sounds: int) -> None:
    if tokens.numel() == 0:
        raise SynthesisError("there are no speech tokens")
    lowest, highest = (int(value) for value in tokens.aminmax())
    if lowest < 0 or highest >= num_sounds:
        raise SynthesisError(f"speech token {highest if highest >= num_sounds else lowest} has no sound")


def _fitted(reference: Mapping[str, Any], device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Return a copy of the reference on the device, its real numbers in the precision of the flow."""
    import torch

    return {
        name: value.to(device=device, dtype=dtype if value.is_floating_point() else None)
        if torch.is_tensor(value)
        else value
        for name, value in reference.items()
    }


@contextmanager
def _seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Seed torch's own generators for a while, and put them back."""
    import torch

    if seed is None:
        yield
        return
    devices = [device] if device.type == "cuda" else []
    with _generator_lock, torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
