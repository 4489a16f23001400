"""How the weights of T3 are kept: the words for it, and which one a worker takes on its device.

Knows nothing of torch; the rest of the model is float32 in any case.
"""

from __future__ import annotations

from typing import Final, Literal

from worker.errors import ModelLoadError

Precision = Literal["fp32", "bf16", "int8"]

#: What a setting may say; `auto` is decided by the device.
PrecisionChoice = Literal["auto", "fp32", "bf16", "int8"]

#: The names that torch has for them; int8 is a matter of layers, not of one dtype.
DTYPES: Final = {"fp32": "float32", "bf16": "bfloat16"}


def choose_precision(wanted: PrecisionChoice, device: Literal["cpu", "cuda"]) -> Precision:
    """Return the precision on this device: `auto` is int8 on CUDA, where memory is short, and fp32 on a CPU.

    Raises:
        ModelLoadError: int8 is wanted on a CPU.
    """
    if wanted == "auto":
        return "int8" if device == "cuda" else "fp32"
    if wanted == "int8" and device == "cpu":
        raise ModelLoadError(
            "CHATTERQUEUE_PRECISION is int8, which needs an NVIDIA GPU, and the models are to run on the CPU: "
            "set it to auto or fp32, or run the worker on a machine with a GPU"
        )
    return wanted
