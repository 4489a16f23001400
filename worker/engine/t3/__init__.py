"""T3 for many texts at once: a static cache of keys and values, one CUDA graph for each size of the batch.

`Decoder` in `decoder.py` is the way in. Knows nothing of queues, threads, audio or why a text is spoken.

Dimensions, beside those of `worker.engine`: L lanes of a decode step (each computes one row), N slots of a decode
step (each draws one token), R rows of the cache without the scratch row, S positions of a row, C hidden size,
V speech vocabulary.
"""
