"""The quality gate: what is wrong with a take, and which take is kept. Knows nothing of queues or storage."""

from __future__ import annotations

from worker.quality.examiner import Examiner, Verdict
from worker.quality.finding import Finding, Flag
from worker.quality.gate import UNCHECKED, Choice, Gate, Hearing, Stage
from worker.quality.record import TakeRecord

__all__ = ["UNCHECKED", "Choice", "Examiner", "Finding", "Flag", "Gate", "Hearing", "Stage", "TakeRecord", "Verdict"]
