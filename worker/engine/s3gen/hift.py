"""The vocoder, HiFT: mels of many utterances to samples, all in one pass over one row.

The face of the vocoder's modules; knows nothing of speech tokens, the flow or the watermark.

Any mix of lengths lies on one row of frames with small gaps (`tape.py`), so little is computed for nothing. The row has
one of a few lengths, and each of those has a CUDA graph. An utterance comes out as it would alone: as chatterbox-tts'
own vocoder makes it from the same mel and the same noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import torch  # noqa: TID253 - the vocoder is loaded where the GPU is

from worker.engine.s3gen.convolution import Form
from worker.engine.s3gen.graphpool import GraphPool
from worker.engine.s3gen.rowgraph import RowGraph
from worker.engine.s3gen.source import excite, pitch, read_source_weights
from worker.engine.s3gen.spectrum import analyse, read_short_fourier, synthesise
from worker.engine.s3gen.tape import lay, resolve, split_tapes, taped_frames
from worker.engine.s3gen.trunk import run_trunk
from worker.engine.s3gen.trunkweights import read_trunk
from worker.errors import ModelLoadError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from worker.engine.s3gen.tape import Resolution, Tape

#: How exact the convolutions are. `fp32`: 1e-5 of chatterbox-tts' own on a CPU. `tf32`: as chatterbox-tts runs them on
#: a GPU, products of 10 bits, sums of 24. `bf16`: products of 8 bits, and what lies between layers rounded to 8 bits.
#: Pitch, source, the last convolution's rows, transforms and samples are float32 in all of them.
VocoderPrecision = Literal["fp32", "tf32", "bf16"]

#: Lengths of a row that have a CUDA graph, in mel frames, 20 ms each. The longest keeps an H200 busy; what is longer
#: than it is divided into several rows.
BUDGETS_FRAMES: Final = (256, 512, 1_024, 2_048, 4_096, 8_192)

#: Frames of a row that go through the convolutions at once: 260 kB each, where a frame takes a quarter of it elsewhere.
DEFAULT_WINDOW_FRAMES: Final = 4_096

#: Frames on both sides of a window that are computed with it and dropped. The convolutions reach 20 frames far: 3 the
#: first, then at 8, 40 and 120 positions for a frame 98, 98 and 124 positions.
_REACH_FRAMES: Final = 24

#: Zero frames behind each utterance. The farthest look is that of 11 taps at distance 5, 25 positions, where a frame
#: has 8 positions: 3.1 frames.
GAP_FRAMES: Final = 4


class Hift:
    """Vocodes utterances, for one thread at a time.

    Attributes:
        num_samples: samples of a mel frame.
    """

    def __init__(
        self,
        mel2wav: Any,
        fade: torch.Tensor,
        *,
        device: torch.device | str,
        precision: VocoderPrecision = "fp32",
        budgets_frames: Sequence[int] = BUDGETS_FRAMES,
        window_frames: int = DEFAULT_WINDOW_FRAMES,
    ) -> None:
        """Read the weights of chatterbox-tts' vocoder; the module itself is neither changed nor kept.

        Args:
            mel2wav: a `HiFTGenerator` in float32.
            fade: [S] float32, what the first samples of every utterance are multiplied by (`S3Gen.trim_fade`).
            device: where to run.
            precision: of the convolutions. Off CUDA all of them are float32, apart from bf16.
            budgets_frames: lengths of a row that `warm_up` makes graphs for; the longest is the longest row.
            window_frames: frames of a row that go through the convolutions at once.

        Raises:
            ModelLoadError: the module is in half precision: its weights have lost what float32 needs.
        """
        if next(mel2wav.parameters()).dtype != torch.float32:
            raise ModelLoadError("the vocoder is read in float32 only: convert s3gen.flow, not s3gen")
        self._device = torch.device(device)
        self._precision = precision
        self._budgets_frames = tuple(sorted(budgets_frames))
        self._window_frames = window_frames
        self._source = read_source_weights(mel2wav, self._device)
        self._fourier = read_short_fourier(mel2wav, self._device)
        form = Form(
            self._device,
            dtype=torch.bfloat16 if precision == "bf16" else torch.float32,
            is_tf32=precision == "tf32" and self._device.type == "cuda",
        )
        self._trunk = read_trunk(mel2wav, form)
        self._fade = fade.detach().to(device=self._device, dtype=torch.float32)
        self._max_magnitude, self._max_amplitude = 1e2, mel2wav.audio_limit
        self._num_mels = mel2wav.conv_pre.in_channels
        self._graphs: dict[int, RowGraph] = {}
        self.num_samples = self._source.num_samples

    def warm_up(self, pool: GraphPool | None = None, *, is_searching: bool = False) -> None:
        """Capture a graph for each length of a row; without CUDA there is nothing to warm.

        Args:
            pool: shared with other graphs that take turns with these; None: one of their own.
            is_searching: let cuDNN try its algorithms on each shape, which takes long, where else it guesses.
        """
        if self._device.type != "cuda":
            return
        pool = pool or GraphPool(self._device)
        with torch.inference_mode(), self._exactness(is_searching=is_searching):
            # From long to short: the short ones then fit into the memory of the longest.
            for budget in reversed(self._budgets_frames):
                graph = RowGraph(self._vocode_row, budget, self._num_mels, self._device, pool)
                self._graphs[budget] = graph

    def samples(self, mels: Sequence[torch.Tensor], seeds: Sequence[int]) -> list[torch.Tensor]:
        """Vocode utterances; on CUDA this only launches, on the current stream.

        An utterance that is not finite gives samples that are not finite, and harms no other.

        Args:
            mels: [80, F] float32 on the device, one for each utterance, F >= 1.
            seeds: 0 <= seed < 2**63; phases and noise of an utterance follow from its seed and nothing else.

        Returns:
            [S] float32 on the device for each, S = 480 * F, 24 kHz, faded in. They are views of one tensor for each
            row, and nothing overwrites them.
        """
        lengths = [mel.shape[1] for mel in mels]
        spoken: list[torch.Tensor] = [torch.empty(0)] * len(mels)
        with torch.inference_mode(), self._exactness():
            for row in split_tapes(lengths, self._budgets_frames[-1], gap_frames=GAP_FRAMES):
                tape = self._lay([lengths[index] for index in row])
                samples = self._run(tape, [mels[index] for index in row], [seeds[index] for index in row])
                for index, start in zip(row, tape.starts, strict=True):
                    first = start * self.num_samples
                    spoken[index] = samples[first : first + lengths[index] * self.num_samples]
        return spoken

    def _lay(self, lengths: Sequence[int]) -> Tape:
        """Lay utterances on the shortest row that has a graph, else on one that is as long as they are."""
        wanted_frames = taped_frames(lengths, gap_frames=GAP_FRAMES)
        num_frames = min((budget for budget in self._graphs if budget >= wanted_frames), default=wanted_frames)
        return lay(lengths, num_frames, gap_frames=GAP_FRAMES)

    def _run(self, tape: Tape, mels: Sequence[torch.Tensor], seeds: Sequence[int]) -> torch.Tensor:
        """Return the samples of a row, [480 * num_frames]."""
        owners = tape.owners(seeds)
        graph = self._graphs.get(tape.num_frames)
        if graph is not None:
            return graph.replay(tape, mels, owners)
        row = torch.zeros(tape.num_frames, self._num_mels, device=self._device)
        for start, mel in zip(tape.starts, mels, strict=True):
            row[start : start + mel.shape[1]] = mel.T
        return self._vocode_row(row, owners.to(self._device))

    def _vocode_row(self, mels: torch.Tensor, owners: torch.Tensor) -> torch.Tensor:
        """Return the samples of a row, [480 * F]; those in gaps mean nothing.

        Only launches, and shapes follow from F alone, so that a graph can hold it.

        Args:
            mels: [F, 80] float32; what is in gaps does not matter.
            owners: [3, F] int64, `Tape.owners`.
        """
        starts, ends, seeds = owners
        frames = resolve(starts, ends, 1)
        mels = torch.where(frames.is_inside[:, None], mels, 0.0)
        source = excite(self._source, pitch(self._source, mels, frames.is_inside), seeds, frames)
        transforms = resolve(starts, ends, self.num_samples // self._fourier.hop, num_extra=1)
        parts = self._convolved(mels, source, frames, transforms)
        samples = synthesise(self._fourier, self._spectra(parts), transforms.is_inside)
        return self._faded(samples.clamp_(-self._max_amplitude, self._max_amplitude), frames)

    def _convolved(
        self, mels: torch.Tensor, source: torch.Tensor, frames: Resolution, transforms: Resolution
    ) -> torch.Tensor:
        """Return what magnitudes and phases are made of, [P, bins], one window of the row after the other.

        Nothing within a window's reach is missing from it, so windows change nothing but the memory that it takes.

        Args:
            mels: [F, 80] float32, zero in gaps.
            source: [S] float32.
            frames: what each mel frame belongs to.
            transforms: what each of the P transforms belongs to.
        """
        num_frames, rate = mels.shape[0], transforms.rate
        parts = mels.new_empty(num_frames * rate, self._fourier.size + 2)
        for first in range(0, num_frames, self._window_frames):
            end = min(first + self._window_frames, num_frames)
            low, high = max(0, first - _REACH_FRAMES), min(end + _REACH_FRAMES, num_frames)
            spectra = analyse(self._fourier, source, transforms.part(low * rate, high * rate))
            window = resolve(frames.starts[low:high] - low, frames.ends[low:high] - low, 1)
            made = run_trunk(self._trunk, mels[low:high], spectra, window)
            parts[first * rate : end * rate] = made[(first - low) * rate : (end - low) * rate]
        return parts

    def _spectra(self, parts: torch.Tensor) -> torch.Tensor:
        """Return real parts, then imaginary parts, [P, bins], from logarithms of magnitudes, then phases."""
        loudness, phases = parts.chunk(2, dim=1)
        magnitudes = loudness.exp().clamp(max=self._max_magnitude)
        angles = phases.sin()
        return torch.cat([magnitudes * angles.cos(), magnitudes * angles.sin()], dim=1)

    def _faded(self, samples: torch.Tensor, frames: Resolution) -> torch.Tensor:
        at = resolve(frames.starts, frames.ends, self.num_samples)
        nth = at.positions - at.starts
        faded = self._fade[nth.clamp(max=self._fade.numel() - 1)]
        return torch.where(nth < self._fade.numel(), samples * faded, samples)

    def _exactness(self, *, is_searching: bool = False) -> AbstractContextManager[None]:
        """Return a context in which cuDNN computes as exactly as `precision` says.

        The switch is one for the process, as torch has it; nobody else convolves while the vocoder is being called.
        """
        flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
            enabled=True, benchmark=is_searching, allow_tf32=self._precision != "fp32"
        )
        return flags
