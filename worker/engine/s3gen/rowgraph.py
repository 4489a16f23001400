"""A CUDA graph of one row length: its fixed buffers, its capture, its replay.

Knows nothing of what is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch  # noqa: TID253 - graphs are torch's

if TYPE_CHECKING:
    from worker.engine.s3gen.graphpool import GraphPool
    from worker.engine.s3gen.tape import Tape


class RowGraph:
    """A captured function from a row of mels and its owners to a row of samples."""

    def __init__(
        self,
        function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        num_frames: int,
        num_mels: int,
        device: torch.device,
        pool: GraphPool,
    ) -> None:
        """Run the function once, then capture it.

        Args:
            function: from [F, num_mels] float32 and [3, F] int64 to [S] float32; launches only, shapes from F alone.
            num_frames: F.
            num_mels: channels of a mel.
            device: a CUDA device.
            pool: where graphs are captured of which never two run at once.
        """
        self._mels = torch.zeros(num_frames, num_mels, device=device)
        self._owners = torch.zeros(3, num_frames, dtype=torch.int64, device=device)
        self._graph, self._samples = pool.capture(lambda: function(self._mels, self._owners))

    def replay(self, tape: Tape, mels: Sequence[torch.Tensor], owners: torch.Tensor) -> torch.Tensor:
        """Run the graph on the current stream and return a copy of its row of samples; nothing waits.

        Args:
            tape: where the utterances lie.
            mels: [num_mels, F] float32 on the device, one for each utterance.
            owners: [3, num_frames] int64 on the CPU.
        """
        for start, mel in zip(tape.starts, mels, strict=True):
            self._mels[start : start + mel.shape[1]] = mel.T
        # Pinned memory that torch gives out again only once the copy is done.
        self._owners.copy_(owners.pin_memory(), non_blocking=True)
        self._graph.replay()
        # The next replay overwrites the buffer, that of another graph in the same memory too.
        return self._samples.clone()
