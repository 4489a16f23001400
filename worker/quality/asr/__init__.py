"""The check by ear: what a speech recognizer hears in a take, compared with its text. Needs the extra `asr`.

Only `worker.quality.hearing` imports it, when its packages are there, so a worker without the extra loads none of it.
"""

from __future__ import annotations

from worker.quality.asr.comparison import Difference, compare, difference
from worker.quality.asr.recognizer import Recognizer

__all__ = ["Difference", "Recognizer", "compare", "difference"]
