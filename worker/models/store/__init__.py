"""The folder of model weights: what belongs in it, its lock file, fetching, converting, verifying.

Knows nothing of the model classes; `worker.models.weights` is the door for everybody else.
"""
