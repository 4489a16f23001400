"""Engines: what turns segments into audio, behind one Protocol.

Tensor dimensions, where tensors are: B rows, T tokens, H heads, D head size, V speech vocabulary, C channels, F mel
frames, S samples.
"""
