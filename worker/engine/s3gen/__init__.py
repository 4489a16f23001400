"""S3Gen for many utterances at once: speech tokens to mel frames to samples.

Tensor dimensions: B sequences, T tokens, H heads, D head size, C channels, F mel frames, R packed rows, S samples.
"""
