"""The Perth watermark for many utterances at once, on the device, as resemble-perth puts it into each alone.

Knows nothing of how samples are made, and cannot be switched off.

resemble-perth resamples on the CPU and takes one signal at a time. Here utterances lie on one row with gaps
(`tape.py`), so resampling, transforms and the network each run once for all of them. At the ends of an utterance
everything is as it is alone: mirrored for the transform, silence for the resampler, zeros for the convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch  # noqa: TID253 - the watermark is applied where the GPU is
from numpy.typing import NDArray

from worker.engine.s3gen.fetching import Wait, begin_fetching, wait_for_stream
from worker.engine.s3gen.perthnet import PerthNetwork
from worker.engine.s3gen.resampling import Resampler
from worker.engine.s3gen.tape import lay, split_tapes, taped_frames
from worker.engine.transfer import to_device
from worker.errors import WatermarkError
from worker.models.watermark import check_watermarker

if TYPE_CHECKING:
    from worker.engine.s3gen.tape import Tape

#: Sample rate of Chatterbox' speech.
SAMPLE_RATE_HZ: Final = 24_000

#: Lengths of a row in hops of 10 ms: few lengths, so that Fourier plans and choices of algorithms are found again. A
#: hop takes some 12 kB, so the longest row 190 MiB.
BUDGETS_HOPS: Final = (512, 1_024, 2_048, 4_096, 8_192, 16_384)

#: Hops between utterances: a transform looks 3.2 hops beyond either end of one.
_LEAD_HOPS: Final = 4
_GAP_HOPS: Final = 2 * _LEAD_HOPS

#: Hops whose transforms are in memory at once, 45 kB each.
DEFAULT_MAX_HOPS: Final = 4_096


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

    def __init__(
        self,
        watermarker: Any,
        *,
        device: torch.device | str,
        max_hops: int = DEFAULT_MAX_HOPS,
        wait: Wait = wait_for_stream,
    ) -> None:
        """Take the network of a watermarker, which is neither changed nor kept.

        Args:
            watermarker: a `perth.PerthImplicitWatermarker` on any device.
            device: where to run.
            max_hops: hops whose transforms are in memory at once.
            wait: waits for the device, once for each batch.

        Raises:
            WatermarkError: it is not of the real class.
        """
        check_watermarker(watermarker)
        self._device = torch.device(device)
        self._wait = wait
        self._network = PerthNetwork(watermarker, device=self._device, max_hops=max_hops)
        rate_hz = self._network.rate_hz
        self._up = Resampler(SAMPLE_RATE_HZ, rate_hz, self._device)
        self._down = Resampler(rate_hz, SAMPLE_RATE_HZ, self._device)
        assert self._up.num_out == self._network.hop, "a block of the resampler is a hop"

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
            self._wait()
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
        starts, ends, _ = to_device(tape.owners([0] * len(samples)), self._device)
        at_rate, has_mark = self._network.mark(self._up.resample(row), starts, ends)
        done = self._down.resample(at_rate)
        return _Marked(*(begin_fetching(each) for each in (done, done.view(-1, hop).isfinite().all(dim=1), has_mark)))

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
