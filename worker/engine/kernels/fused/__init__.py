"""The operations as Triton kernels for CUDA. Knows nothing of devices without one."""
