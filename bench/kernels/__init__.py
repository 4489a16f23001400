"""What the kernels of a decode step take on a GPU: `python -m bench.kernels`."""
