"""What an exception of the decoder, the renderer or the preparation means for those it hit.

Knows nothing of batches; which device it was is asked through its port.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

from producer.contract.errors import ChatterqueueError
from worker.engine.batching.ports import Device
from worker.engine.executor import place_of
from worker.errors import EngineFaultError, GpuMemoryError, SynthesisError

#: Exceptions of a device that failed, for as long as the process lives. The frames in their tracebacks hold pinned
#: memory. To give that back, torch asks the device for an event; what fails there fails in a destructor, which ends the
#: process with SIGABRT before those who wait have been told.
_WRECKAGE: Final[list[BaseException]] = []


def keep_wreckage(error: BaseException) -> None:
    """Let nothing go that the frames of an exception hold; for one after which this process uses no device."""
    _WRECKAGE.append(error)


class Cause(Enum):
    """Why a call failed, as far as it decides what to do next."""

    #: The device can no longer be used by this process.
    DEVICE = "device"
    #: The same with less may succeed.
    MEMORY = "memory"
    #: Something in the batch, or a bug of ours: found by trying smaller batches.
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception reduced to what is needed later.

    It does not keep the traceback: the frames in it hold the failed call's tensors, and memory that is to be freed
    would stay in use (torch's FAQ, "My out of memory exception handler can't allocate memory"). Where the device has
    failed, nothing is to be freed any more, and it is kept elsewhere.
    """

    cause: Cause
    #: What the future of an utterance that failed alone ends with.
    error: ChatterqueueError

    @classmethod
    def of(cls, raised: Exception, device: Device) -> Self:
        """Return what an exception means; call it in the `except` block, and recover after the block has ended."""
        if isinstance(raised, EngineFaultError):
            return cls(Cause.DEVICE, EngineFaultError(str(raised)))
        if device.is_out_of_memory(raised):
            return cls(Cause.MEMORY, GpuMemoryError("the GPU's memory is full, even for this segment alone"))
        if device.is_fault(raised):
            keep_wreckage(raised)
            # Its first line names the fault; the rest is advice of CUDA's.
            return cls(Cause.DEVICE, EngineFaultError(f"the GPU failed: {str(raised).splitlines()[0]}"))
        if isinstance(raised, ChatterqueueError):
            return cls(Cause.OTHER, raised.with_traceback(None))
        return cls(Cause.OTHER, SynthesisError(f"the engine failed: {place_of(raised)}"))

    def require_device(self) -> None:
        """Return if the device can still be used.

        Raises:
            EngineFaultError: otherwise; it ends the engine.
        """
        if self.cause is Cause.DEVICE:
            raise self.error
