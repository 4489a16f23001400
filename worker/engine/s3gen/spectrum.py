"""The short Fourier transform on a row of utterances, forth and back, each utterance as if it were alone.

Knows nothing of neural networks. A transform is 16 samples long, so it is a small matrix product; torch's own would
let utterances see each other where it mirrors the ends and where windows overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch  # noqa: TID253 - the vocoder is loaded where the GPU is

if TYPE_CHECKING:
    from worker.engine.s3gen.tape import Resolution


@dataclass(frozen=True, slots=True)
class ShortFourier:
    """The transform of a vocoder.

    Attributes:
        size: samples of a transform, N.
        hop: samples from one to the next.
        forth: [N, N + 2] float32, samples to real parts, then imaginary parts, window included.
        back: [N + 2, N] float32, real and imaginary parts to samples, window included.
        window_power: [N] float32, the window's square.
        offsets: [N] int64, -N / 2 to N / 2 - 1: the samples that a transform looks at, from its middle.
    """

    size: int
    hop: int
    forth: torch.Tensor
    back: torch.Tensor
    window_power: torch.Tensor
    offsets: torch.Tensor


def read_short_fourier(mel2wav: Any, device: torch.device) -> ShortFourier:
    """Return the transform of a `HiFTGenerator`: its size, its hop and its window."""
    size, hop = mel2wav.istft_params["n_fft"], mel2wav.istft_params["hop_len"]
    assert size % (2 * hop) == 0
    window = mel2wav.stft_window.double().cpu()
    identity = torch.eye(size, dtype=torch.float64)
    spectra = torch.fft.rfft(identity * window[:, None], dim=1)
    bins = torch.eye(size // 2 + 1, dtype=torch.complex128)
    waves = torch.cat([torch.fft.irfft(bins, n=size, dim=1), torch.fft.irfft(1j * bins, n=size, dim=1)])
    return ShortFourier(
        size=size,
        hop=hop,
        forth=torch.cat([spectra.real, spectra.imag], dim=1).float().to(device),
        back=(waves * window).float().to(device),
        window_power=window.square().float().to(device),
        offsets=(torch.arange(size) - size // 2).to(device),
    )


def analyse(fourier: ShortFourier, samples: torch.Tensor, at: Resolution) -> torch.Tensor:
    """Return the transforms of a row of samples, [P, N + 2] float32, zero in gaps.

    The ends of each utterance are mirrored, as `torch.stft` does with `center=True`.

    Args:
        fourier: the transform.
        samples: [S] float32.
        at: what each of the P transforms belongs to; S = hop * P.
    """
    begin = (at.starts * fourier.hop)[:, None]
    # The last transform of an utterance stands one behind its last hop.
    length = ((at.ends - 1).clamp(min=0) * fourier.hop)[:, None] - begin
    seen = (at.positions * fourier.hop)[:, None] - begin + fourier.offsets
    seen = seen.abs()
    seen = torch.where(seen < length, seen, 2 * (length - 1) - seen)
    # Only transforms in gaps look elsewhere, and those are dropped.
    pieces = samples[(begin + seen).clamp(0, samples.numel() - 1)]
    return torch.where(at.is_inside[:, None], pieces @ fourier.forth, 0.0)


def synthesise(fourier: ShortFourier, parts: torch.Tensor, is_inside: torch.Tensor) -> torch.Tensor:
    """Return a row of samples, [P * hop] float32, from transforms; what lies in gaps means nothing.

    Args:
        fourier: the transform.
        parts: [P, N + 2] float32, real parts, then imaginary parts; garbage in gaps is allowed.
        is_inside: [P] bool, False in gaps.
    """
    pieces = torch.where(is_inside[:, None], parts @ fourier.back, 0.0)
    powers = is_inside[:, None] * fourier.window_power
    samples, power = (overlapped(each, fourier.hop) for each in (pieces, powers))
    return (samples / power.clamp(min=1e-11)).flatten()


def overlapped(pieces: torch.Tensor, hop: int) -> torch.Tensor:
    """Add up pieces where they overlap, and return [P, hop], the row from the first piece's middle on.

    Args:
        pieces: [P, N], each `hop` samples behind the one before; N / 2 is a multiple of the hop.
        hop: samples.
    """
    num_pieces = pieces.shape[0]
    num_hops = pieces.shape[1] // hop
    parts = pieces.view(num_pieces, num_hops, hop)
    # Row r of the result gets part c of piece r + N/2 - c, N in hops.
    padded = torch.nn.functional.pad(parts, (0, 0, 0, 0, num_hops - 1 - num_hops // 2, num_hops // 2))
    total = padded[num_hops - 1 :, 0][:num_pieces]
    for part in range(1, num_hops):
        first = num_hops - 1 - part
        total = total + padded[first : first + num_pieces, part]
    return total
