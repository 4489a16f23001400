"""How much Chatterbox takes on where it runs: what its weights, slots and frames take, and what is free.

The arithmetic is `worker.engine.batching.fitting`; this module knows the sizes of the models, which are the same for
every published checkpoint.
"""

from __future__ import annotations

from typing import Final, Literal

from worker.engine.batching.fitting import Costs, Fit, fit, kv_slot_bytes
from worker.models.precision import Precision

#: Positions of a row in T3's cache: 34 of the voice, some 150 of the text, and 30 s of speech and more. The same on
#: every device, because it is also the ceiling at which a segment counts as running away.
MAX_POSITIONS: Final = 1_024

_NUM_LAYERS: Final = 30
_NUM_HEADS: Final = 16
_HEAD_SIZE: Final = 64

#: T3, S3Gen with what the renderer makes of it, and the voice encoder: bytes on the device.
_WEIGHTS_BYTES: Final = {"fp32": int(3.4 * 2**30), "bf16": int(2.5 * 2**30), "int8": int(2.1 * 2**30)}

#: What S3Gen, the vocoder and the watermark need for a mel frame of a batch at their peak; they take turns. The
#: watermark needs most: 1.5 GiB for 163 s of speech.
_FRAME_BYTES: Final = {"fp32": 400_000, "bf16": 200_000, "int8": 200_000}

#: Prefill, sampling, and the workspaces of the matrix products.
_FIXED_BYTES: Final = 256 * 2**20

#: Without a GPU: the weights are read once for all slots, and cores run out before memory does.
_CPU_SLOTS: Final = 2
_CPU_FRAMES: Final = 10_240


def costs_of(precision: Precision) -> Costs:
    """Return what the slots and frames of one model take."""
    slot_bytes = kv_slot_bytes(
        num_layers=_NUM_LAYERS,
        num_heads=_NUM_HEADS,
        head_size=_HEAD_SIZE,
        num_positions=MAX_POSITIONS,
        value_bytes=4 if precision == "fp32" else 2,
    )
    return Costs(slot_bytes, _FRAME_BYTES[precision], _FIXED_BYTES)


def fit_models(
    free_bytes: int, precision: Precision, num_models: int, *, max_slots: int | None, max_frames: int | None
) -> Fit:
    """Return what each of some models takes on, when all of them are to be loaded into free memory.

    Raises:
        WorkerStartError: not even one segment of each fits.
    """
    own_bytes = free_bytes // num_models - _WEIGHTS_BYTES[precision]
    return fit(max(0, own_bytes), costs_of(precision), max_slots=max_slots, max_frames=max_frames)


def find_capacity(
    device: Literal["cpu", "cuda"],
    precision: Precision,
    num_models: int,
    *,
    max_slots: int | None = None,
    max_frames: int | None = None,
) -> Fit:
    """Return what each of some models takes on, on this device as it is now; before they are loaded.

    Raises:
        WorkerStartError: not even one segment of each fits.
    """
    if device == "cpu":
        return Fit(max_slots or _CPU_SLOTS, max_frames or _CPU_FRAMES)
    import torch

    free_bytes, _ = torch.cuda.mem_get_info()
    return fit_models(free_bytes, precision, num_models, max_slots=max_slots, max_frames=max_frames)
