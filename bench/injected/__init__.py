"""Takes with injected faults, and sentences to make them of: the material of bench/quality.py."""
