"""The use cases of a worker: split a text, speak a segment, assemble the audio.

Knows nothing of Celery, boto3 or redis-py; what it needs of them it states in `worker.narration.ports`.
"""
