"""The Perth watermark for many utterances at once, on the device, as resemble-perth puts it into each alone.

Knows nothing of how samples are made, and cannot be switched off.

resemble-perth resamples on the CPU and takes one signal at a time. Here utterances lie on one row with gaps
(`tape.py`), so resampling, transforms and the network each run once for all of them. At the ends of an utterance
everything is as it is alone: mirrored for the transform, silence for the resampler, zeros for the convolutions.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch  # noqa: TID253 - the watermark is applied where the GPU is
from numpy.typing import NDArray

from worker.engine.s3gen.resampling import Resampler
from worker.engine.s3gen.spectrum import overlapped
from worker.engine.s3gen.tape import Resolution, lay, resolve, split_tapes, taped_frames
from worker.errors import WatermarkError
from worker.models.watermark import check_watermarker

if TYPE_CHECKING:
    from worker.engine.s3gen.tape import Tape

#: Sample rate of Chatterbox' speech.
SAMPLE_RATE_HZ: Final = 24_000

#: Lengths of a row in hops of 10 ms: few lengths, so that Fourier plans and choices of algorithms are found again. The
#: longest needs about 1.5 GiB.
BUDGETS_HOPS: Final = (512, 1_024, 2_048, 4_096, 8_192, 16_384)

#: Hops between utterances: a transform looks 3.2 hops beyond either end of one.
_LEAD_HOPS: Final = 4
_GAP_HOPS: Final = 2 * _LEAD_HOPS

#: A frame is marked where the sum of its levels is above this part of the loudest frame's (`magmask`).
_MIN_LOUDNESS: Final = 0.05
#: Decibels of the scale from 0 to 1 that the network works on: 180 below full scale to 15 above.
_HEADROOM_DB: Final = 15.0


@dataclass(frozen=True, slots=True)
class _Marked:
    """A row with watermarks, on its way to the host; all three are pinned where the row is on CUDA.

    Attributes:
        samples: [H * hop] float32, 24 kHz.
        is_finite: [H] bool, of each hop.
        has_mark: [H] bool, of each transform.
    """

    samples: torch.Tensor
    is_finite: torch.Tensor
    has_mark: torch.Tensor


class Watermark:
    """Puts the watermark into utterances, for one thread at a time."""

    def __init__(self, watermarker: Any, *, device: torch.device | str) -> None:
        """Take the network of a watermarker, which is neither changed nor kept.

        Args:
            watermarker: a `perth.PerthImplicitWatermarker` on any device.
            device: where to run.

        Raises:
            WatermarkError: it is not of the real class.
        """
        check_watermarker(watermarker)
        self._device = torch.device(device)
        network = watermarker.perth_net
        settings = network.hp
        # Only weights that are not trained may be put to use in an inference-mode graph; a copy may also be moved.
        self._layers = copy.deepcopy(network.encoder.layers).to(self._device).eval().requires_grad_(False)
        self._num_bins = network.encoder.subband
        self._size, self._hop = settings.n_fft, settings.hop_size
        self._rate_hz = settings.sample_rate
        self._min_magnitude = settings.stft_magnitude_min
        self._window = network.ap.spectrogram.window.detach().to(self._device)
        self._up = Resampler(SAMPLE_RATE_HZ, self._rate_hz, self._device)
        self._down = Resampler(self._rate_hz, SAMPLE_RATE_HZ, self._device)
        self._range_db = _HEADROOM_DB - 20.0 * math.log10(self._min_magnitude)
        assert self._up.num_out == self._hop, "a block of the resampler is a hop"

    def apply(self, samples: Sequence[torch.Tensor]) -> list[NDArray[np.float32]]:
        """Return utterances on the host, all of them watermarked; waits for the device once.

        Silence comes back as silence: there is nothing that a mark could hide in.

        Args:
            samples: [S] float32 on the device for each, 24 kHz, S a multiple of 240 and at least 480, finite.

        Returns:
            [S] float32 for each, in memory of its own.

        Raises:
            WatermarkError: an utterance has a length that cannot be marked, is not finite, or came out without a mark.
        """
        hops = [self._num_hops(each) for each in samples]
        rows = split_tapes(hops, BUDGETS_HOPS[-1], gap_frames=_GAP_HOPS)
        with torch.inference_mode():
            tapes = [_lay([hops[index] for index in row]) for row in rows]
            marked = [
                self._mark(tape, [samples[index] for index in row]) for tape, row in zip(tapes, rows, strict=True)
            ]
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()
        results: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(samples)
        for row, tape, done in zip(rows, tapes, marked, strict=True):
            for index, pcm in zip(row, self._cut(tape, done), strict=True):
                results[index] = pcm
        return results

    def _num_hops(self, samples: torch.Tensor) -> int:
        num_hops, rest = divmod(samples.numel(), self._up.num_in)
        if rest or num_hops < 2:
            raise WatermarkError(f"an utterance of {samples.numel()} samples cannot be marked")
        return num_hops

    def _mark(self, tape: Tape, samples: Sequence[torch.Tensor]) -> _Marked:
        """Launch all that is done to a row, the copy to the host included."""
        hop = self._up.num_in
        row = torch.zeros(tape.num_frames * hop, device=self._device)
        for start, each in zip(tape.starts, samples, strict=True):
            row[start * hop : start * hop + each.numel()] = each
        starts, ends, _ = self._sent(tape.owners([0] * len(samples)))
        frames = resolve(starts, ends, 1, num_extra=1)
        inside = resolve(starts, ends, self._hop)
        at_rate = self._up.resample(row)
        spectra = self._analyse(at_rate, inside)
        changes, has_mark = self._changes(spectra, frames)
        at_rate = at_rate + self._synthesise(changes, frames)
        done = self._down.resample(torch.where(inside.is_inside, at_rate, 0.0))
        return _Marked(*(self._fetched(each) for each in (done, done.view(-1, hop).isfinite().all(dim=1), has_mark)))

    def _sent(self, table: torch.Tensor) -> torch.Tensor:
        if self._device.type != "cuda":
            return table
        return table.pin_memory().to(self._device, non_blocking=True)

    def _fetched(self, found: torch.Tensor) -> torch.Tensor:
        """Return the tensor on the host; on CUDA it is there once the stream is through."""
        if self._device.type != "cuda":
            return found
        host = torch.empty(found.shape, dtype=found.dtype, pin_memory=True)
        host.copy_(found, non_blocking=True)
        return host

    def _analyse(self, row: torch.Tensor, inside: Resolution) -> torch.Tensor:
        """Return the transforms of a row, [H, N / 2 + 1] complex64, those in gaps of nothing that matters.

        Each utterance is mirrored at its ends, as often as it takes.

        Args:
            row: [S] float32 at the network's rate, silence or ringing in gaps.
            inside: what each sample belongs to.
        """
        last = (inside.ends - inside.starts - 1).clamp(min=1)
        nth = (inside.positions - inside.starts) % (2 * last)
        mirrored = row[(inside.starts + torch.where(nth > last, 2 * last - nth, nth)).clamp(max=row.numel() - 1)]
        half = self._size // 2
        pieces = torch.nn.functional.pad(mirrored, (half, half - self._hop)).unfold(0, self._size, self._hop)
        spectra: torch.Tensor = torch.fft.rfft(pieces * self._window, dim=1)
        return spectra

    def _changes(self, spectra: torch.Tensor, frames: Resolution) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the watermark adds to the lowest bins of the transforms, and which transforms it adds it to.

        Args:
            spectra: [H, N / 2 + 1] complex64.
            frames: what each transform belongs to.

        Returns:
            [H, bins] complex64, and [H] bool.
        """
        decibels = 20.0 * spectra.abs().clamp(min=self._min_magnitude).log10()
        levels = 1.0 + (decibels - _HEADROOM_DB) / self._range_db
        levels = torch.where(frames.is_inside[:, None], levels, 0.0)
        loudness = levels.sum(dim=1)
        # The loudest frame of each utterance: a gap is as loud as silence, and counts for nothing.
        loudest = torch.zeros_like(loudness).scatter_reduce(0, frames.starts, loudness, "amax", include_self=False)
        has_mark = (loudness > _MIN_LOUDNESS * loudest[frames.starts]) & frames.is_inside
        features = levels[:, : self._num_bins].T[None]
        for layer in self._layers:
            features = torch.where(frames.is_inside, layer(features), 0.0)
        raised_db = torch.where(has_mark[:, None], features[0].T * self._range_db, 0.0)
        return (10.0 ** (raised_db / 20.0) - 1.0) * spectra[:, : self._num_bins], has_mark

    def _synthesise(self, changes: torch.Tensor, frames: Resolution) -> torch.Tensor:
        """Return the samples that these transforms stand for, [H * hop] float32; what lies in gaps means nothing.

        Args:
            changes: [H, bins] complex64, bins from the lowest on; the others are zero.
            frames: what each transform belongs to.
        """
        changes = torch.where(frames.is_inside[:, None], changes, 0.0)
        pieces = torch.fft.irfft(changes, n=self._size, dim=1) * self._window
        powers = frames.is_inside[:, None] * self._window.square()
        # Whole hops to both sides of the middle, so that pieces can be added up hop by hop.
        margin = -self._size // 2 % self._hop
        samples, power = (
            overlapped(torch.nn.functional.pad(each, (margin, margin)), self._hop) for each in (pieces, powers)
        )
        return (samples / power.clamp(min=1e-11)).flatten()

    def _cut(self, tape: Tape, marked: _Marked) -> list[NDArray[np.float32]]:
        """Return the utterances of a row that has arrived on the host.

        Raises:
            WatermarkError: one is not finite, or has no mark though it can be heard.
        """
        hop = self._up.num_in
        utterances = []
        for start, length in zip(tape.starts, tape.lengths, strict=True):
            pcm = marked.samples[start * hop : (start + length) * hop].numpy().copy()
            if not marked.is_finite[start : start + length].all():
                raise WatermarkError("the watermark made samples that are not finite")
            if not marked.has_mark[start : start + length + 1].any() and pcm.any():
                raise WatermarkError("an utterance came out without a watermark")
            utterances.append(pcm)
        return utterances


def _lay(lengths: Sequence[int]) -> Tape:
    wanted = taped_frames(lengths, gap_frames=_GAP_HOPS)
    num_hops = min((budget for budget in BUDGETS_HOPS if budget >= wanted), default=wanted)
    return lay(lengths, num_hops, gap_frames=_GAP_HOPS, lead_frames=_LEAD_HOPS)
