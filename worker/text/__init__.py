"""From a text to the segments that are spoken. Knows nothing of audio, engines or services."""

from __future__ import annotations

from worker.text.measure import MAX_SEGMENT_UNITS
from worker.text.split import split

__all__ = ["MAX_SEGMENT_UNITS", "split"]
