"""A worker app whose tone engine breaks on certain texts; `celery -A faultyworker worker` runs it in tests.

The product has no such hooks: this module replaces what builds the engine before the app is imported.
"""

from __future__ import annotations

from faultyengine import FaultyEngine

from worker import process

process.build_engine = lambda name, settings: FaultyEngine(segment_s=settings.tone_segment_s)

from worker.app import app  # noqa: E402 - after the engine was replaced

__all__ = ["app"]
