"""The flow's solver: from noise to mel frames in a fixed number of steps, for all sequences of a packed batch.

Euler's method with classifier-free guidance, as chatterbox-tts runs it (Lipman et al., "Flow matching for generative
modeling", 2022, arXiv:2210.02747; Ho and Salimans, "Classifier-free diffusion guidance", 2022, arXiv:2207.12598). The
packed row is there twice, first guided and then not, in one call of the estimator. Knows nothing of tokens or voices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch  # noqa: TID253 - the renderer is loaded where the GPU is

from worker.engine.s3gen.attention import AttentionForm
from worker.engine.s3gen.batch import Packing
from worker.engine.s3gen.estimator import Layout, RunSection, estimate, run_section
from worker.engine.s3gen.weights import EstimatorWeights, arrange_weights
from worker.engine.transfer import copy_to

#: Steps that chatterbox-tts takes; fewer are audible.
NUM_STEPS: Final = 10

#: Mel frames are this wide; the estimator's inputs are four times as wide.
NUM_MELS: Final = 80


@dataclass(frozen=True, slots=True)
class Workspace:
    """What a step reads and writes; at the same addresses for every batch, if a CUDA graph is to replay it.

    Attributes:
        state: [F, 80] float32, noise at first, mel frames in the end.
        inputs: [2, F, 320]: the state, then encoding, speaker and prompt, which `fill` makes zero in the second half.
        layout: of both halves, R = 2 F.
        step: [1] int64, the number of the step that is next.
    """

    state: torch.Tensor
    inputs: torch.Tensor
    layout: Layout
    step: torch.Tensor


class Solver:
    """Solves packed batches, each in a workspace of its own size."""

    def __init__(
        self,
        cfm: Any,
        attention: AttentionForm,
        *,
        dtype: torch.dtype,
        device: torch.device,
        num_steps: int = NUM_STEPS,
        section: RunSection = run_section,
    ) -> None:
        """Arrange the weights and work out what each step adds for the time.

        Args:
            cfm: `CausalConditionalCFM` of chatterbox-tts, in float32, on any device.
            attention: how sequences attend to themselves.
            dtype: of the estimator; the state is float32 in any case.
            device: of everything.
            num_steps: of the solver.
            section: `run_section` or a compiled form of it.
        """
        self.num_steps = num_steps
        self._attention = attention
        self._section = section
        self._dtype = dtype
        self.device = device
        self._weights: EstimatorWeights = arrange_weights(cfm.estimator, dtype=dtype, device=device)
        self._guidance = float(cfm.inference_cfg_rate)
        times = _times(cfm.t_scheduler, num_steps)
        self._strides = (times[1:] - times[:-1]).to(device)
        self._shifts = _time_shifts(cfm.estimator, times[:-1]).to(device=device, dtype=dtype)

    @torch.inference_mode()
    def solve(self, noise: torch.Tensor, context: torch.Tensor, packing: Packing) -> torch.Tensor:
        """Return mel frames, [F, 80] float32; of no account outside of the sequences.

        Args:
            noise: [F, 80] float32.
            context: [F, 240] float32, encoding, speaker and prompt of each frame, zero outside of the sequences.
            packing: where the sequences lie, F = packing.num_frames.
        """
        workspace = self.make_workspace(packing.num_frames)
        self.fill(workspace, noise, context, packing)
        for _ in range(self.num_steps):
            self.take_step(workspace)
        return workspace.state

    def room_for(self, num_frames: int) -> int:
        """Return the packed length that a batch of this many frames is given."""
        return num_frames

    def make_workspace(self, num_frames: int) -> Workspace:
        """Return a workspace for packed batches of this length, with no sequence in it."""
        device, dtype = self.device, self._dtype
        table = self._attention.table([], 2 * num_frames)
        return Workspace(
            state=torch.zeros(num_frames, NUM_MELS, device=device),
            inputs=torch.zeros(2, num_frames, 4 * NUM_MELS, device=device, dtype=dtype),
            layout=Layout(
                torch.zeros(2 * num_frames, 1, device=device, dtype=torch.bool),
                table.to(device) if self._attention.is_table_on_device else table,
            ),
            step=torch.zeros(1, device=device, dtype=torch.int64),
        )

    def shorten(self, workspace: Workspace, num_frames: int) -> Workspace:
        """Return a workspace for shorter batches in the memory of a longer one; both cannot be in use at once."""
        num_rows = 2 * num_frames
        num_tiles = self._attention.table([], num_rows).shape[0]
        return Workspace(
            state=workspace.state[:num_frames],
            inputs=workspace.inputs.flatten()[: num_rows * 4 * NUM_MELS].view(2, num_frames, 4 * NUM_MELS),
            layout=Layout(workspace.layout.mask[:num_rows], workspace.layout.table[:num_tiles]),
            # Its own: whoever takes a step in each of many workspaces would else run past the last step.
            step=torch.zeros_like(workspace.step),
        )

    def fill(self, workspace: Workspace, noise: torch.Tensor, context: torch.Tensor, packing: Packing) -> None:
        """Put a batch into a workspace; for the arguments see `solve`."""
        num_frames = packing.num_frames
        spans = [(start, start + length) for start, length in zip(packing.starts, packing.lengths, strict=True)]
        bounds = spans + [(num_frames + start, num_frames + end) for start, end in spans]
        mask = torch.zeros(2 * num_frames, 1, dtype=torch.bool)
        for start, end in bounds:
            mask[start:end] = True
        table = self._attention.table(bounds, 2 * num_frames)
        copy_to(workspace.layout.mask, mask)
        copy_to(workspace.layout.table.resize_(table.shape), table)
        workspace.state.copy_(noise)
        workspace.inputs[0, :, NUM_MELS:] = context
        # The unguided half; a batch of another length may have used its memory for the guided one.
        workspace.inputs[1, :, NUM_MELS:] = 0.0
        workspace.step.zero_()

    def take_step(self, workspace: Workspace) -> None:
        """Take one step in a workspace, in place; launches only, so that a CUDA graph may hold it."""
        num_frames = workspace.state.shape[0]
        workspace.inputs[:, :, :NUM_MELS] = workspace.state
        shifts = self._shifts.index_select(0, workspace.step)[0]
        direction = estimate(
            self._weights,
            workspace.inputs.flatten(0, 1),
            workspace.layout,
            shifts,
            attend=self._attention.attend,
            section=self._section,
        )
        guided, unguided = direction.view(2, num_frames, NUM_MELS).float()
        towards = (1.0 + self._guidance) * guided - self._guidance * unguided
        workspace.state.add_(self._strides.index_select(0, workspace.step) * towards)
        workspace.step.add_(1)


def _times(schedule: str, num_steps: int) -> torch.Tensor:
    """Return [num_steps + 1] float32 on the CPU, from 0 to 1: denser at first with the cosine schedule."""
    times = torch.linspace(0, 1, num_steps + 1)
    return 1 - torch.cos(times * 0.5 * torch.pi) if schedule == "cosine" else times


@torch.inference_mode()
def _time_shifts(estimator: Any, times: torch.Tensor) -> torch.Tensor:
    """Return [steps, sections, C] float32: what the resnets add, the same for all rows and all batches."""
    times = times.to(next(estimator.time_mlp.parameters()).device)
    embedded = estimator.time_mlp(estimator.time_embeddings(times))
    blocks = (*estimator.down_blocks, *estimator.mid_blocks, *estimator.up_blocks)
    return torch.stack([block[0].mlp(embedded) for block in blocks], dim=1)
