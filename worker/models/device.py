"""The device that models are on: which one, and whether an error means that it can no longer be used.

Knows nothing of models.
"""

from __future__ import annotations

from typing import Final, Literal

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.errors import ModelLoadError

#: What torch writes into an error after which every further call in the process fails.
_FAULT_SIGNS: Final = ("CUDA error", "CUBLAS_STATUS", "CUDNN_STATUS", "cuDNN error", "device-side assert")


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> Literal["cpu", "cuda"]:
    """Return where the models go.

    Raises:
        ModelLoadError: if CUDA is wanted and not there.
    """
    has_cuda = torch.cuda.is_available()
    if wanted == "cuda" and not has_cuda:
        raise ModelLoadError(
            "cuda is asked for (CHATTERQUEUE_DEVICE or --device), but torch finds no CUDA device: check nvidia-smi "
            "and that the installed torch is a CUDA build, or ask for cpu"
        )
    return "cuda" if has_cuda and wanted != "cpu" else "cpu"


def is_device_fault(error: BaseException) -> bool:
    """Say whether only a new process can use the device again."""
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _FAULT_SIGNS)
