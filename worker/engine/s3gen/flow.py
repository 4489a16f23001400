"""The flow: speech tokens and a voice to mel frames, for utterances of all lengths and voices in one batch.

`CausalMaskedDiffWithXvec.inference` of chatterbox-tts, for many at once, each as if it were alone. Knows nothing of
samples or watermarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import torch  # noqa: TID253 - the renderer is loaded where the GPU is
from torch.nn import functional as F  # noqa: N812, TID253 - its name everywhere
from torch.nn.utils.rnn import pad_sequence  # noqa: TID253

from worker.engine.s3gen.attention import one_by_one, tiled
from worker.engine.s3gen.batch import Packing, group_by_area, packed_frames, split_batches
from worker.engine.s3gen.encoder import Encoder
from worker.engine.s3gen.fetching import Wait, fetch, wait_for_stream
from worker.engine.s3gen.graphpool import GraphPool
from worker.engine.s3gen.graphs import GraphedSolver
from worker.engine.s3gen.noise import flow_noise
from worker.engine.s3gen.sections import fused
from worker.engine.s3gen.solver import NUM_MELS, Solver
from worker.engine.s3gen.speech import FRAMES_PER_TOKEN, Speech, find_fault
from worker.engine.s3gen.weights import on_device
from worker.engine.transfer import to_device
from worker.errors import SynthesisError

#: Scores by distance that the encoder may have at once for each frame of the largest batch: as many as 38 speeches of
#: 15 s have in three groups. More at once is no faster on an H200 (`bench/flow.py`: 1.7 ms for each speech and 5 for
#: a group).
_SCORES_PER_FRAME: Final = 8_192

#: Scores of a sequence for the square of its tokens: 8 heads, two frames for each token, two distances for each frame.
_SCORES_PER_AREA: Final = 8 * 2 * 4

#: `fp32` gives what chatterbox-tts gives, to 1e-5 of mels that reach 6. `bf16` multiplies in bf16 and keeps the
#: solver's state and the encoder's sums and norms in float32: after ten steps its mels are 1.2 % off, by root of mean
#: squares; those of chatterbox-tts under autocast are 3 to 4 % off.
FlowPrecision = Literal["fp32", "bf16"]


def make_flow(
    module: Any,
    *,
    device: torch.device,
    precision: FlowPrecision,
    max_frames: int,
    wait: Wait = wait_for_stream,
) -> Flow:
    """Return the fastest flow that a device and a precision allow.

    Args:
        module: `CausalMaskedDiffWithXvec` of chatterbox-tts, in float32 and evaluation mode, on any device.
        device: where the flow runs; it has the weights that it needs there, and no others.
        precision: see `FlowPrecision`.
        max_frames: packed frames of a batch, those of the prompts included.
        wait: waits for the device, once for each batch.
    """
    is_half = precision == "bf16"
    dtype = torch.bfloat16 if is_half else torch.float32
    if device.type == "cuda" and is_half:
        fast = Solver(module.decoder, tiled(), dtype=dtype, device=device, section=fused())
        solver: Solver | GraphedSolver = GraphedSolver(fast, max_frames=max_frames)
    else:
        solver = Solver(module.decoder, one_by_one(), dtype=dtype, device=device)
    return Flow(module, solver, device=device, is_half=is_half, max_frames=max_frames, wait=wait)


class Flow:
    """Turns batches of speeches into mel frames."""

    def __init__(
        self,
        flow: Any,
        solver: Solver | GraphedSolver,
        *,
        device: torch.device,
        is_half: bool,
        max_frames: int,
        wait: Wait = wait_for_stream,
    ) -> None:
        """Take the weights.

        Args:
            flow: `CausalMaskedDiffWithXvec` of chatterbox-tts, in float32 and evaluation mode, on any device.
            solver: for its estimator.
            device: of everything.
            is_half: whether the encoder multiplies in bf16; sums and norms stay in float32.
            max_frames: packed frames of a batch, those of the prompts included.
            wait: waits for the device, once for each batch.
        """
        self._vocabulary: int = flow.vocab_size
        self._embed_tokens = on_device(flow.input_embedding, device)
        self._project_speaker = on_device(flow.spk_embed_affine_layer, device)
        self._project = on_device(flow.encoder_proj, device)
        dtype = torch.bfloat16 if is_half else torch.float32
        max_scores = _SCORES_PER_FRAME * max_frames
        self._encoder = Encoder(flow.encoder, device=device, dtype=dtype, max_scores=max_scores)
        self._max_area = max_scores // _SCORES_PER_AREA
        self._solver = solver
        self._device = device
        self._max_frames = max_frames
        self._wait = wait

    def warm_up(self, pool: GraphPool | None = None) -> None:
        """Compile kernels and capture graphs, where there are any; see `GraphedSolver.warm_up`."""
        if isinstance(self._solver, GraphedSolver):
            self._solver.warm_up(pool)

    @torch.inference_mode()
    def mels(self, speeches: Sequence[Speech]) -> list[torch.Tensor | SynthesisError]:
        """Return the mel frames of each speech, the prompt cut off.

        Returns:
            At each place [80, F_i] float32 on the device, or why there is none; a bad speech harms no other.
        """
        results: list[torch.Tensor | SynthesisError | None] = [
            find_fault(speech, self._vocabulary) for speech in speeches
        ]
        sound = [index for index, fault in enumerate(results) if fault is None]
        lengths = [speeches[index].num_frames for index in sound]
        for batch in split_batches(lengths, self._max_frames):
            indexes = [sound[place] for place in batch]
            rendered = self._render([speeches[index] for index in indexes])
            for index, mel in zip(indexes, rendered, strict=True):
                results[index] = mel
        return [result for result in results if result is not None]

    def _render(self, speeches: Sequence[Speech]) -> list[torch.Tensor | SynthesisError]:
        lengths = tuple(speech.num_frames for speech in speeches)
        packing = Packing(lengths, self._solver.room_for(packed_frames(lengths)))
        mels = self._solver.solve(self._noise(speeches, packing), self._context(speeches, packing), packing)
        heard = [
            mels[start + speech.num_prompt_frames : start + speech.num_frames].T.contiguous()
            for start, speech in zip(packing.starts, speeches, strict=True)
        ]
        # One wait for the whole batch.
        are_finite = fetch(torch.stack([mel.isfinite().all() for mel in heard]), self._wait).tolist()
        return [
            mel if is_finite else SynthesisError("the flow gave no finite numbers")
            for mel, is_finite in zip(heard, are_finite, strict=True)
        ]

    def _noise(self, speeches: Sequence[Speech], packing: Packing) -> torch.Tensor:
        """Return [F, 80] float32; a frame's noise follows from its utterance's seed and its place in it."""
        seeds = torch.zeros(packing.num_frames, dtype=torch.int64)
        frames = torch.zeros(packing.num_frames, dtype=torch.int64)
        for speech, start, length in zip(speeches, packing.starts, packing.lengths, strict=True):
            seeds[start : start + length] = speech.seed
            frames[start : start + length] = torch.arange(length)
        return flow_noise(to_device(seeds, self._device), to_device(frames, self._device), NUM_MELS)

    def _context(self, speeches: Sequence[Speech], packing: Packing) -> torch.Tensor:
        """Return [F, 240] float32: encoding, speaker and prompt of each frame, zero between the sequences."""
        context = torch.zeros(packing.num_frames, 3 * NUM_MELS, device=self._device)
        encodings = self._encode(speeches)
        for speech, start, encoding in zip(speeches, packing.starts, encodings, strict=True):
            rows = context[start : start + speech.num_frames]
            prompt = self._real(speech.reference["prompt_feat"]).reshape(-1, NUM_MELS)
            rows[:, :NUM_MELS] = encoding
            rows[:, NUM_MELS : 2 * NUM_MELS] = self._speaker(speech)
            rows[: prompt.shape[0], 2 * NUM_MELS :] = prompt
        return context

    def _speaker(self, speech: Speech) -> torch.Tensor:
        embedding = self._real(speech.reference["embedding"]).reshape(1, -1)
        speaker: torch.Tensor = self._project_speaker(F.normalize(embedding, dim=1))
        return speaker

    def _encode(self, speeches: Sequence[Speech]) -> list[torch.Tensor]:
        """Return [F_i, 80] float32 for each speech."""
        spoken = to_device(torch.cat([speech.tokens.reshape(-1).long() for speech in speeches]), self._device)
        parts = torch.split(spoken, [speech.tokens.numel() for speech in speeches])
        sequences = [
            torch.cat([speech.reference["prompt_token"].reshape(-1).to(self._device, torch.int64), part])
            for speech, part in zip(speeches, parts, strict=True)
        ]
        lengths = [sequence.numel() for sequence in sequences]
        encodings: dict[int, torch.Tensor] = {}
        for group in group_by_area(lengths, self._max_area):
            tokens = pad_sequence([sequences[index] for index in group], batch_first=True)
            group_lengths = to_device(torch.tensor([lengths[index] for index in group]), self._device)
            encoded = self._encoder(self._embed_tokens(tokens), group_lengths)
            projected = self._project(encoded)
            for row, index in enumerate(group):
                encodings[index] = projected[row, : FRAMES_PER_TOKEN * lengths[index]]
        return [encodings[index] for index in range(len(speeches))]

    def _real(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers.to(device=self._device, dtype=torch.float32)
