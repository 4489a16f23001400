"""The network of Perth on a row of utterances at its own sample rate, each marked as if it were alone.

Knows nothing of other sample rates, of where utterances come from, or of the host.

A transform of 2,048 samples stands for a hop of 320, so whatever holds transforms is large: 45 kB for each hop of a
row. Transforms are therefore made, and turned back into samples, for some hops at a time, and of what lies between only
the 128 bins are kept that the mark is put into.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import torch  # noqa: TID253 - the watermark is applied where the GPU is

from worker.engine.s3gen.spectrum import overlapped
from worker.engine.s3gen.tape import resolve

if TYPE_CHECKING:
    from worker.engine.s3gen.tape import Resolution

#: A transform is marked where the sum of its levels is above this part of the loudest one's (`magmask`).
_MIN_LOUDNESS: Final = 0.05
#: Decibels of the scale from 0 to 1 that the network works on: 180 below full scale to 15 above.
_HEADROOM_DB: Final = 15.0


class PerthNetwork:
    """Adds the mark to rows.

    Attributes:
        rate_hz: sample rate of the rows.
        hop: samples from one transform to the next; the unit in which utterances lie on a row.
    """

    def __init__(self, watermarker: Any, *, device: torch.device, max_hops: int) -> None:
        """Take the network of a watermarker, which is neither changed nor kept.

        Args:
            watermarker: a `perth.PerthImplicitWatermarker` on any device.
            device: where to run.
            max_hops: hops whose transforms are in memory at once.
        """
        network = watermarker.perth_net
        settings = network.hp
        self.rate_hz: int = settings.sample_rate
        self.hop: int = settings.hop_size
        # Only weights that are not trained may be put to use in an inference-mode graph; a copy may also be moved.
        self._layers = copy.deepcopy(network.encoder.layers).to(device).eval().requires_grad_(False)
        self._num_bins = network.encoder.subband
        self._size = settings.n_fft
        self._min_magnitude = settings.stft_magnitude_min
        self._window = network.ap.spectrogram.window.detach().to(device)
        self._range_db = _HEADROOM_DB - 20.0 * math.log10(self._min_magnitude)
        self._max_hops = max_hops

    def mark(self, row: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a row with marks, silent in gaps, and which transforms have one.

        Args:
            row: [H * hop] float32, silence or ringing in gaps.
            starts: [H] int64, first hop of each hop's utterance (`Tape.owners`).
            ends: [H] int64, one behind its last, 0 where there is none.

        Returns:
            [H * hop] float32, and [H] bool.
        """
        # An utterance has one transform more than it has hops.
        frames = resolve(starts, ends, 1, num_extra=1)
        spectra, levels, loudness = self._analyse(self._mirrored(row, starts, ends), frames.is_inside)
        changes, has_mark = self._changes(spectra, levels, loudness, frames)
        marked = row.view(-1, self.hop) + self._synthesise(changes, frames.is_inside)
        is_inside = resolve(starts, ends, 1).is_inside
        return torch.where(is_inside[:, None], marked, 0.0).flatten(), has_mark

    def _parts(self, num_hops: int) -> Iterator[tuple[int, int]]:
        for first in range(0, num_hops, self._max_hops):
            yield first, min(first + self._max_hops, num_hops)

    def _mirrored(self, row: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
        """Return a row in which each utterance is mirrored at its ends, as often as it takes; [H * hop]."""
        mirrored = torch.empty_like(row)
        offsets = torch.arange(self.hop, device=row.device)
        for first, end in self._parts(starts.numel()):
            begin = (starts[first:end] * self.hop)[:, None]
            last = (ends[first:end, None] * self.hop - begin - 1).clamp(min=1)
            positions = torch.arange(first, end, device=row.device)[:, None] * self.hop + offsets
            nth = (positions - begin) % (2 * last)
            nth = begin + torch.where(nth > last, 2 * last - nth, nth)
            mirrored[first * self.hop : end * self.hop] = row[nth.clamp(max=row.numel() - 1)].flatten()
        return mirrored

    def _analyse(self, row: torch.Tensor, is_inside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the lowest bins of a row's transforms, their levels, and how loud each transform is in all its bins.

        Args:
            row: [H * hop] float32.
            is_inside: [H] bool, of the transforms; levels and loudness are 0 elsewhere.

        Returns:
            [H, bins] complex64, [H, bins] float32 and [H] float32.
        """
        half = self._size // 2
        pieces = torch.nn.functional.pad(row, (half, half - self.hop)).unfold(0, self._size, self.hop)
        num_hops = pieces.shape[0]
        spectra = torch.empty(num_hops, self._num_bins, dtype=torch.complex64, device=row.device)
        levels = torch.empty(num_hops, self._num_bins, device=row.device)
        loudness = torch.empty(num_hops, device=row.device)
        for first, end in self._parts(num_hops):
            part = torch.fft.rfft(pieces[first:end] * self._window, dim=1)
            spectra[first:end] = part[:, : self._num_bins]
            decibels = part.abs().clamp_(min=self._min_magnitude).log10_().mul_(20.0)
            level = decibels.sub_(_HEADROOM_DB).div_(self._range_db).add_(1.0)
            level.masked_fill_(is_inside[first:end, None].logical_not(), 0.0)
            levels[first:end] = level[:, : self._num_bins]
            loudness[first:end] = level.sum(dim=1)
        return spectra, levels, loudness

    def _changes(
        self, spectra: torch.Tensor, levels: torch.Tensor, loudness: torch.Tensor, frames: Resolution
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the mark adds to the transforms, [H, bins] complex64, and to which it adds it, [H] bool."""
        # The loudest transform of each utterance: a gap is as loud as silence, and counts for nothing.
        loudest = torch.zeros_like(loudness).scatter_reduce(0, frames.starts, loudness, "amax", include_self=False)
        has_mark = (loudness > _MIN_LOUDNESS * loudest[frames.starts]) & frames.is_inside
        features = levels.T[None]
        for layer in self._layers:
            features = torch.where(frames.is_inside, layer(features), 0.0)
        raised_db = torch.where(has_mark[:, None], features[0].T * self._range_db, 0.0)
        changes = (10.0 ** (raised_db / 20.0) - 1.0) * spectra
        return torch.where(frames.is_inside[:, None], changes, 0.0), has_mark

    def _synthesise(self, changes: torch.Tensor, is_inside: torch.Tensor) -> torch.Tensor:
        """Return the samples that these transforms stand for, [H, hop] float32; what lies in gaps means nothing.

        Args:
            changes: [H, bins] complex64, bins from the lowest on; the others are zero.
            is_inside: [H] bool, of the transforms.
        """
        # Whole hops to both sides of the middle, so that pieces can be added up hop by hop.
        margin = -self._size // 2 % self.hop
        reach = (self._size // 2 + margin) // self.hop
        num_hops = changes.shape[0]
        samples = torch.empty(num_hops, self.hop, device=changes.device)
        for first, end in self._parts(num_hops):
            low, high = max(0, first - reach), min(end + reach, num_hops)
            pieces = torch.fft.irfft(changes[low:high], n=self._size, dim=1) * self._window
            powers = is_inside[low:high, None] * self._window.square()
            total, power = (
                overlapped(torch.nn.functional.pad(each, (margin, margin)), self.hop)[first - low : end - low]
                for each in (pieces, powers)
            )
            samples[first:end] = total / power.clamp(min=1e-11)
        return samples
