"""Continuous batching: which segments are spoken together, and what becomes of each, whatever fails.

Read in this order: ports (what it drives), utterance (what it moves), scheduler (who is next), decoding and rendering
(one turn of each), loop (the threads). Nothing here imports torch: policy and bookkeeping only.
"""
