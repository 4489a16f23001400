"""What a check may find, by stable names: they stand in manifests, and people filter by them.

Knows nothing of how it is found; docs/quality.md says what each means.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Flag(StrEnum):
    """Why somebody should listen to a take."""

    NOT_FINITE = "not_finite"
    SILENT = "silent"
    TOO_QUIET = "too_quiet"
    CLIPPED = "clipped"
    CUT_OFF = "cut_off"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    DOUBLED = "doubled"
    LOOPING = "looping"
    TOKENS_REPEAT = "tokens_repeat"
    LONG_PAUSE = "long_pause"
    TRAILING_NOISE = "trailing_noise"
    WORDS_MISSING = "words_missing"
    WORDS_ADDED = "words_added"
    WORDS_DIFFER = "words_differ"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of one take."""

    flag: Flag
    #: How much worse the take is for it: 0 nothing, 1 worthless.
    weight: float


def score_of(findings: tuple[Finding, ...]) -> float:
    """Return how good a take with these faults is: 1 without any, 0 if one of them makes it worthless."""
    score = 1.0
    for finding in findings:
        score *= 1.0 - finding.weight
    return round(score, 3)
