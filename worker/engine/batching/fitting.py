"""How much an engine takes on, from the memory that it finds: slots to decode in, frames to render at once.

Knows nothing of cards or of torch; what a slot and a frame take is handed in by those who know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from worker.errors import DeviceTooSmallError

#: Slots beyond which a card gains little: on an H200 256 of them decode a fifth more than 128, and each waits longer.
MOST_SLOTS: Final = 128

#: Frames beyond which a larger batch renders no faster (38 speeches of 15 s with prompts of 10 s, on an H200).
MOST_FRAMES: Final = 49_152

#: Frames of the longest speech with the longest prompt, which must fit alone: 41 s and 10 s, 50 frames a second.
LEAST_FRAMES: Final = 2_560

#: Frames that are wanted for each slot before there is another slot: with fewer the renderer is slower than the slots
#: that it renders for (an H200 renders 440 s of speech a second in batches of 8,192 frames, 250 in batches of 2,048).
FRAMES_PER_SLOT: Final = 512

#: Slots from which a second renderer pays: with fewer the first one waits for speeches more than for the host.
_SLOTS_FOR_ANOTHER: Final = 32

#: Part of the free memory that nothing is planned for: kernels that CUDA loads, fragments, other processes.
_RESERVE: Final = 0.08
_LEAST_RESERVE_BYTES: Final = 300 * 2**20


@dataclass(frozen=True, slots=True)
class Costs:
    """What things take, in bytes of the device's memory; T3's own weights are not among them.

    Attributes:
        slot_bytes: one slot: the keys and values of both its rows.
        frame_bytes: one mel frame of the largest batch that is rendered.
        decode_bytes: once, however many slots there are: the scratch row, graphs, workspaces, voices.
        burst_bytes: a prompt that is being read; all slots may begin at once.
        most_burst_bytes: all prompts that are read at once.
        render_bytes: once, however large the batches are: the renderer's weights, graphs, workspaces.
    """

    slot_bytes: int
    frame_bytes: int
    decode_bytes: int = 0
    burst_bytes: int = 0
    most_burst_bytes: int = 0
    render_bytes: int = 0

    def reading(self, num_slots: int) -> int:
        """Return what reading the prompts of so many slots takes, for a moment."""
        return min(num_slots * self.burst_bytes, self.most_burst_bytes)

    def decoding(self, num_slots: int) -> int:
        """Return what a decoder of so many slots takes at its peak."""
        return self.decode_bytes + num_slots * self.slot_bytes + self.reading(num_slots)

    def rendering(self, num_frames: int) -> int:
        """Return what a renderer of batches of so many frames takes at its peak."""
        return self.render_bytes + num_frames * self.frame_bytes


@dataclass(frozen=True, slots=True)
class Fit:
    """What an engine takes on."""

    num_slots: int
    max_frames: int

    def planned_bytes(self, costs: Costs) -> int:
        """Return what it will take beside T3's weights."""
        return costs.decoding(self.num_slots) + costs.rendering(self.max_frames)


def fit(free_bytes: int, costs: Costs, *, max_slots: int | None = None, max_frames: int | None = None) -> Fit:
    """Return how many slots and frames fit into memory that is free once T3 is loaded: slots first.

    Args:
        free_bytes: of the device.
        costs: what things take.
        max_slots: no more slots than this; what they leave free makes batches larger.
        max_frames: no more frames than this.

    Raises:
        DeviceTooSmallError: not even one slot and one long speech fit.
    """
    most_slots, most_frames = max_slots or MOST_SLOTS, max_frames or MOST_FRAMES
    room_bytes = _room_in(free_bytes)
    for num_slots in range(most_slots, 0, -1):
        num_frames = min(most_frames, max(LEAST_FRAMES, num_slots * FRAMES_PER_SLOT))
        spare_bytes = room_bytes - Fit(num_slots, num_frames).planned_bytes(costs)
        if spare_bytes >= 0:
            return Fit(num_slots, min(most_frames, num_frames + spare_bytes // costs.frame_bytes))
    raise DeviceTooSmallError(free_bytes, free_bytes - spare_bytes)


def fit_frames(free_bytes: int, costs: Costs, num_slots: int, *, max_frames: int | None = None) -> int:
    """Return how many frames fit into memory that is free beside a decoder that has been made ready.

    Args:
        free_bytes: of the device.
        costs: what things take.
        num_slots: of the decoder.
        max_frames: no more frames than this.

    Raises:
        DeviceTooSmallError: not even one long speech fits.
    """
    most_frames = max_frames or MOST_FRAMES
    least_frames = min(LEAST_FRAMES, most_frames)
    spare_bytes = _room_in(free_bytes) - costs.reading(num_slots) - costs.rendering(least_frames)
    if spare_bytes < 0:
        raise DeviceTooSmallError(free_bytes, free_bytes - spare_bytes)
    return min(most_frames, least_frames + spare_bytes // costs.frame_bytes)


def has_room_for_another(free_bytes: int, costs: Costs, num_slots: int, max_frames: int) -> bool:
    """Return whether a second renderer of batches as large is worth its memory, and fits.

    Args:
        free_bytes: of the device, beside the decoder and the first renderer, which have been made ready.
        costs: what things take.
        num_slots: of the decoder.
        max_frames: of a batch.
    """
    if num_slots < _SLOTS_FOR_ANOTHER or max_frames < MOST_FRAMES:
        return False
    # What the first takes for a moment in each batch, beside its graphs, is no more than all that the second takes.
    return _room_in(free_bytes) >= costs.reading(num_slots) + 2 * costs.rendering(max_frames)


def _room_in(free_bytes: int) -> int:
    return free_bytes - max(int(free_bytes * _RESERVE), _LEAST_RESERVE_BYTES)
