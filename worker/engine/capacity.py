"""How much Chatterbox takes on where it runs: what its weights, slots and frames take, and what is free.

Asked twice. Before anything is loaded, from the header of T3's file, so that a GPU that is too small is told in the
first second and the worker knows how much work to hold. And again by each `Speaker`, from what the device says then:
slots once T3 is loaded, frames once the decoder is ready.

The arithmetic is `worker.engine.batching.fitting`. What is measured here is measured by `tests/gpu/run.sh memory`
(`bench/results/gpu_memory.json`) on an H200, and rounded up.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from producer.contract.narration import ModelName
from worker.engine.batching.fitting import Costs, Fit, fit
from worker.engine.t3.slotsize import slot_bytes
from worker.models.header import read_header, t3_bytes
from worker.models.precision import Precision
from worker.models.store.catalog import PARTS

#: Positions of a row in T3's cache: 34 of the voice, some 150 of the text, and 30 s of speech and more. The same on
#: every device, because it is also the ceiling at which a segment counts as running away.
MAX_POSITIONS: Final = 1_024

_MIB: Final = 2**20

#: A T3 whose file is not in the folder, because its int8 copy is in a cache: the multilingual one, the larger by 1 %.
_PUBLISHED_T3_BYTES: Final = {"fp32": 2_045 * _MIB, "bf16": 1_023 * _MIB, "int8": 530 * _MIB}

#: The weights that the renderer multiplies with: estimator, encoder, vocoder, the watermark's network and resamplers
#: (`tests/unit/worker/engine/test_weights_on_device.py` counts them).
RENDERER_WEIGHTS_BYTES: Final = {"fp32": 540 * _MIB, "bf16": 340 * _MIB, "int8": 340 * _MIB}

#: What a renderer takes beside them for its smallest batch: graphs, a row of 41 s and its windows in the vocoder, the
#: encoder's scores of the longest speech, workspaces of the matrix products.
_RENDER_BYTES: Final = {"fp32": 800 * _MIB, "bf16": 500 * _MIB, "int8": 500 * _MIB}

#: What it takes more for a mel frame of a larger batch, fragments of torch's allocator included.
_FRAME_BYTES: Final = {"fp32": 160_000, "bf16": 85_000, "int8": 85_000}

#: What a decoder takes once: its graphs, two workspaces of the matrix products (32 MiB on Hopper, 8 elsewhere), and
#: the voices that it keeps.
_DECODE_BYTES: Final = {"fp32": 480 * _MIB, "bf16": 256 * _MIB, "int8": 256 * _MIB}

#: A prompt of 320 tokens, with and without its text, while it is read; and as many prompts as are read at once.
_BURST_BYTES: Final = {"fp32": 40 * _MIB, "bf16": 20 * _MIB, "int8": 20 * _MIB}
_MOST_BURST_BYTES: Final = {"fp32": 1_024 * _MIB, "bf16": 512 * _MIB, "int8": 512 * _MIB}

#: Without a GPU: the weights are read once for all slots, and cores run out before memory does.
_CPU_SLOTS: Final = 2
_CPU_FRAMES: Final = 10_240


def costs_of(precision: Precision) -> Costs:
    """Return what the slots and frames of one model take."""
    one_slot_bytes = slot_bytes(precision, MAX_POSITIONS)
    return Costs(
        slot_bytes=one_slot_bytes,
        frame_bytes=_FRAME_BYTES[precision],
        # One row more than the slots have: idle lanes write to it.
        decode_bytes=_DECODE_BYTES[precision] + one_slot_bytes // 2,
        burst_bytes=_BURST_BYTES[precision],
        most_burst_bytes=_MOST_BURST_BYTES[precision],
        render_bytes=_RENDER_BYTES[precision] + RENDERER_WEIGHTS_BYTES[precision],
    )


def weights_bytes(model_dir: Path, model: ModelName, precision: Precision) -> int:
    """Return what the T3 of a folder takes on the device, by the header of its file.

    Raises:
        ModelLoadError: the file is cut short.
    """
    path = model_dir / PARTS[model].t3
    return t3_bytes(read_header(path)[0], precision) if path.is_file() else _PUBLISHED_T3_BYTES[precision]


def fit_models(
    free_bytes: int, precision: Precision, t3s_bytes: Sequence[int], *, max_slots: int | None, max_frames: int | None
) -> Fit:
    """Return what each of some models takes on, when all of them are to be loaded into free memory.

    Args:
        free_bytes: of the device.
        precision: of the models.
        t3s_bytes: what the T3 of each takes.
        max_slots: of each.
        max_frames: of each.

    Raises:
        DeviceTooSmallError: not even one segment of each fits.
    """
    own_bytes = (free_bytes - sum(t3s_bytes)) // len(t3s_bytes)
    return fit(own_bytes, costs_of(precision), max_slots=max_slots, max_frames=max_frames)


def find_capacity(
    device: Literal["cpu", "cuda"],
    precision: Precision,
    model_dir: Path,
    models: Sequence[ModelName],
    *,
    max_slots: int | None = None,
    max_frames: int | None = None,
) -> Fit:
    """Return what each of some models takes on, on this device as it is now; before they are loaded.

    Raises:
        DeviceTooSmallError: not even one segment of each fits.
        ModelLoadError: the file of a T3 is cut short.
    """
    if device == "cpu" or not models:
        return Fit(max_slots or _CPU_SLOTS, max_frames or _CPU_FRAMES)
    from worker.engine.torchdevice import TorchDevice

    free_bytes = TorchDevice(device).free_bytes()
    t3s_bytes = [weights_bytes(model_dir, model, precision) for model in models]
    return fit_models(free_bytes, precision, t3s_bytes, max_slots=max_slots, max_frames=max_frames)
