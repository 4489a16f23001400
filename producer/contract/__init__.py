"""The words both sides share: records, keys, names, settings and errors.

Knows nothing of Redis, S3 or Celery connections; the worker imports this package, never the other way round.
"""
