"""How much an engine takes on, from the memory that it finds: slots to decode in, frames to render at once.

Knows nothing of cards or of torch; what a slot and a frame take is handed in by those who know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from worker.errors import WorkerStartError

#: Slots beyond which a card gains little: on an H200 256 of them decode a fifth more than 128, and each waits longer.
MOST_SLOTS: Final = 128

#: Frames beyond which a larger batch renders no faster (38 speeches of 15 s with prompts of 10 s, on an H200).
MOST_FRAMES: Final = 49_152

#: Frames of the longest speech with the longest prompt, which must fit alone: 41 s and 10 s, 50 frames a second.
LEAST_FRAMES: Final = 2_560

#: Part of the free memory that nothing is planned for: CUDA's own, graphs, fragments, other processes.
_RESERVE: Final = 0.08
_LEAST_RESERVE_BYTES: Final = 300 * 2**20

#: Part of the plan that rendering gets before slots; it renders what they decode, so both grow together.
_RENDER_PART: Final = 0.25


@dataclass(frozen=True, slots=True)
class Costs:
    """What things take, in bytes of the device's memory."""

    #: One slot: the keys and values of both its rows.
    slot_bytes: int
    #: One mel frame of a batch that is being rendered.
    frame_bytes: int
    #: What is needed once, however many slots there are: prefill, workspaces of the matrix products.
    fixed_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Fit:
    """What an engine takes on."""

    num_slots: int
    max_frames: int

    def planned_bytes(self, costs: Costs) -> int:
        """Return what it will take beside the weights."""
        return self.num_slots * costs.slot_bytes + self.max_frames * costs.frame_bytes + costs.fixed_bytes


def kv_slot_bytes(*, num_layers: int, num_heads: int, head_size: int, num_positions: int, value_bytes: int) -> int:
    """Return what the cache of one slot takes: keys and values, of the row with the text and of that without."""
    return 2 * 2 * num_layers * num_heads * head_size * num_positions * value_bytes


def fit(free_bytes: int, costs: Costs, *, max_slots: int | None = None, max_frames: int | None = None) -> Fit:
    """Return how many slots and frames fit into memory that is free once the weights are loaded.

    Args:
        free_bytes: of the device.
        costs: what things take.
        max_slots: no more slots than this; what they leave free stays free.
        max_frames: no more frames than this.

    Raises:
        WorkerStartError: not even one slot and one long speech fit.
    """
    most_slots, most_frames = max_slots or MOST_SLOTS, max_frames or MOST_FRAMES
    room_bytes = free_bytes - max(int(free_bytes * _RESERVE), _LEAST_RESERVE_BYTES) - costs.fixed_bytes
    least_frames = min(LEAST_FRAMES, most_frames)
    needed_bytes = costs.slot_bytes + least_frames * costs.frame_bytes
    if room_bytes < needed_bytes:
        free_gib, needed_gib = free_bytes / 2**30, (free_bytes - room_bytes + needed_bytes) / 2**30
        raise WorkerStartError(
            f"the device has {free_gib:.1f} GiB free beside the weights, and one segment needs {needed_gib:.1f}: "
            "free some, or set CHATTERQUEUE_DEVICE=cpu"
        )
    frames = max(least_frames, min(most_frames, int(room_bytes * _RENDER_PART) // costs.frame_bytes))
    slots = min(most_slots, max(1, (room_bytes - frames * costs.frame_bytes) // costs.slot_bytes))
    # What the slots do not need makes the batches larger.
    frames = min(most_frames, max(frames, (room_bytes - slots * costs.slot_bytes) // costs.frame_bytes))
    return Fit(num_slots=int(slots), max_frames=int(frames))
