"""An engine in a process of its own, behind the same Protocol, so that nothing of Celery's runs beside its loop.

`EngineProcess` is what the worker process has of it; `python -m worker.engine.remote` is the other side.
"""
