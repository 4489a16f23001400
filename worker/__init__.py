"""The worker: Celery processes that split, synthesize and assemble narrations."""
