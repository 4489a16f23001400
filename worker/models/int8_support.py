"""Whether this machine can run int8: asked before any weight is read, answered in one sentence.

Knows nothing of models or checkpoints.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from typing import TYPE_CHECKING, Any, Final

from worker.errors import ModelLoadError

if TYPE_CHECKING:
    import torch

#: What a user types to get int8; the same line as in docs/bnb-quantization.md.
INSTALL_COMMAND: Final = "pip install 'bitsandbytes>=0.50.2,<0.51'"

#: bitsandbytes logs here, at every call, that an input is cast to float16.
_NOISY_LOGGER: Final = "bitsandbytes.autograd._functions"


class _CastMessageFilter(logging.Filter):
    """Drops the message about the cast of inputs: 210 lines for each token otherwise."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "inputs will be cast from" not in str(record.msg)


_cast_message_filter = _CastMessageFilter()


def require_int8_support(device: str | torch.device) -> None:
    """Return if a model on this device can be int8.

    Raises:
        ModelLoadError: the device is not CUDA, there is no GPU, bitsandbytes is missing or has no CUDA library.
    """
    require_int8_parts(device)
    require_cuda_library(import_bitsandbytes())


def require_int8_parts(device: str | torch.device) -> None:
    """Return if there is a GPU and bitsandbytes is installed; asked at once, where importing it takes seconds.

    Raises:
        ModelLoadError: otherwise.
    """
    require_cuda_device(device)
    require_bitsandbytes()


def require_cuda_device(device: str | torch.device) -> None:
    """Return if the device is a CUDA device that is there.

    Raises:
        ModelLoadError: otherwise.
    """
    import torch

    kind = torch.device(device).type
    if kind != "cuda":
        reason = (
            f"int8 needs an NVIDIA GPU (device 'cuda'), but the device is '{kind}': "
            "leave use_bnb_quantization out on cpu and mps"
        )
        raise ModelLoadError(reason)
    if not torch.cuda.is_available():
        reason = f"int8 needs an NVIDIA GPU, but torch {torch.__version__} sees none: check the driver with nvidia-smi"
        raise ModelLoadError(reason)


def require_bitsandbytes() -> None:
    """Return if bitsandbytes is installed; does not import it, which takes seconds.

    Raises:
        ModelLoadError: otherwise.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        reason = f"int8 needs bitsandbytes, which is not installed: {INSTALL_COMMAND}"
        raise ModelLoadError(reason)


def import_bitsandbytes() -> Any:
    """Return the bitsandbytes module, its message about casts silenced.

    Raises:
        ModelLoadError: it is not installed or does not import.
    """
    require_bitsandbytes()
    try:
        bitsandbytes = importlib.import_module("bitsandbytes")
    except (ImportError, OSError, RuntimeError) as exc:
        reason = f"int8 needs bitsandbytes, which is installed but does not import ({exc}): {INSTALL_COMMAND}"
        raise ModelLoadError(reason) from exc
    noisy = logging.getLogger(_NOISY_LOGGER)
    if _cast_message_filter not in noisy.filters:
        noisy.addFilter(_cast_message_filter)
    return bitsandbytes


def require_cuda_library(bitsandbytes: Any) -> None:
    """Return if bitsandbytes has loaded its library for the CUDA of this torch.

    Raises:
        ModelLoadError: otherwise. bitsandbytes itself says so only when the first layer runs.
    """
    import torch

    library = bitsandbytes.cextension.lib
    if type(library).__name__ == "CudaBNBNativeLibrary":
        return
    reason = (
        f"bitsandbytes {bitsandbytes.__version__} has no library for CUDA {torch.version.cuda}, which this torch uses: "
        f"{INSTALL_COMMAND}, then look at the output of 'python -m bitsandbytes'"
    )
    raise ModelLoadError(reason)
