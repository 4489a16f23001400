"""The flow's solver in CUDA graphs: one graph of one step for each of a few packed lengths, replayed.

A step is some thousand launches, which a graph takes from the host. Knows nothing of tokens, voices or kernels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch  # noqa: TID253 - the renderer is loaded where the GPU is

from worker.engine.s3gen.batch import MAX_SPEECHES, Packing, choose_budget, list_budgets
from worker.engine.s3gen.graphpool import GraphPool
from worker.engine.s3gen.solver import Solver, Workspace


class _Captured(NamedTuple):
    workspace: Workspace
    graph: Any


class GraphedSolver:
    """Solves batches by replaying; a batch that is too long for every graph runs without one."""

    def __init__(self, solver: Solver, *, max_frames: int) -> None:
        """Take the solver whose steps are captured.

        Args:
            solver: on a CUDA device.
            max_frames: packed frames of the largest batch.
        """
        self._solver = solver
        self._budgets = list_budgets(max_frames)
        self._captured: dict[int, _Captured] = {}

    def room_for(self, num_frames: int) -> int:
        """Return the packed length that a batch of this many frames is given."""
        return choose_budget(num_frames, self._budgets) or num_frames

    @torch.inference_mode()
    def warm_up(self, pool: GraphPool | None = None) -> None:
        """Capture all graphs, the largest first: the others find their memory in its pool and its workspace.

        Args:
            pool: shared with other graphs that take turns with these; None: one of their own.
        """
        pool = pool or GraphPool(self._solver.device)
        longest = self._solver.make_workspace(self._budgets[0])
        for budget in self._budgets:
            if budget not in self._captured:
                self._captured[budget] = self._capture(self._solver.shorten(longest, budget), pool)

    @torch.inference_mode()
    def solve(self, noise: torch.Tensor, context: torch.Tensor, packing: Packing) -> torch.Tensor:
        """Return mel frames as `Solver.solve` does, from a graph where there is one."""
        captured = self._captured.get(packing.num_frames)
        if captured is None or len(packing.lengths) > MAX_SPEECHES:
            return self._solver.solve(noise, context, packing)
        workspace, graph = captured
        self._solver.fill(workspace, noise, context, packing)
        for _ in range(self._solver.num_steps):
            graph.replay()
        return workspace.state.clone()

    def _capture(self, workspace: Workspace, pool: GraphPool) -> _Captured:
        graph, _ = pool.capture(lambda: self._solver.take_step(workspace))
        return _Captured(workspace, graph)
