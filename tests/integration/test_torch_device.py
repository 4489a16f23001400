"""What errors of torch mean to the engine."""

from __future__ import annotations

import pytest
import torch  # noqa: TID253

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]  # torch warns while it is imported


@pytest.mark.parametrize(
    ("error", "is_full", "is_fault"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), True, False),
        (RuntimeError("CUDA error: out of memory"), True, False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True, False),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate"), True, False),
        (RuntimeError("CUDA error: device-side assert triggered"), False, True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False, True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`"), False, True),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False, False),
        (ValueError("CUDA error"), False, False),
    ],
)
def test_what_an_error_means(error: Exception, is_full: bool, is_fault: bool) -> None:
    from worker.engine.torchdevice import TorchDevice

    device = TorchDevice("cuda")
    assert (device.is_out_of_memory(error), device.is_fault(error)) == (is_full, is_fault)


def test_a_cpu_has_no_memory_to_show_or_to_give_back() -> None:
    from worker.engine.torchdevice import TorchDevice

    device = TorchDevice("cpu")
    device.release_memory()
    assert device.used_bytes() == 0
