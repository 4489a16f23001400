"""The use cases of a worker: split a text, speak a segment, assemble the audio.

Knows nothing of Celery, boto3 or redis-py; it is handed the ledger, and what `worker.narration.ports` states.
"""
