"""In what a transcript differs from the text that was to be said. Knows nothing of sound.

A small recognizer mishears names and endings all over a text, so a share of wrong letters says little. What a fault
of the voice leaves is one long stretch that is missing, or one too many; and a text is one of few things that may have
been said: all of it, some of it, or all of it twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rapidfuzz.distance import Levenshtein

from worker.quality.asr.words import has_year, sounds_of
from worker.quality.finding import Finding, Flag

#: Letters that are alike by chance between two that are not: they end no stretch.
_CHANCE_LETTERS: Final = 2
#: Letters that are missing or too many in one stretch, beyond which it is a fault and no mishearing; a year that is
#: heard as two numbers lacks seven. At the end, where speech breaks off, a recognizer leaves out three at most.
_MAX_MISSING: Final = 8
_MAX_MISSING_AT_END: Final = 3
_MAX_ADDED: Final = 8
#: Share of wrong letters beyond which something else was said. A name is misheard altogether; short texts, which may
#: be nothing but a name, have some letters more.
_MAX_SHARE: Final = 0.3
_FREE_LETTERS: Final = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a transcript is from a text."""

    #: Letters to change, as a share of the text's.
    share: float
    #: Letters that one stretch has too few, and too many.
    num_missing: int
    num_added: int
    #: Letters that the end has too few.
    num_missing_at_end: int


def compare(text: str, transcript: str, language: str) -> tuple[Finding, ...]:
    """Return what is wrong with a transcript."""
    heard = sounds_of(transcript, language)
    wanted = [sounds_of(text, language)]
    if language == "en" and has_year(text + transcript):
        wanted.append(sounds_of(text, language, years_in_pairs=True))
        heard_in_pairs = sounds_of(transcript, language, years_in_pairs=True)
        pairs = [(wanted[0], heard), (wanted[1], heard), (wanted[1], heard_in_pairs)]
    else:
        pairs = [(wanted[0], heard)]
    if not wanted[0]:  # nothing that this comparison knows the sound of
        return ()
    nearest = min(pairs, key=lambda pair: Levenshtein.distance(*pair))
    return _findings(difference(*nearest), nearest[0], nearest[1])


def difference(wanted: str, heard: str) -> Difference:
    """Return how letters that were heard differ from those that were to be said."""
    longest_missing = longest_added = missing = added = 0
    for step in Levenshtein.opcodes(wanted, heard):
        num_wanted, num_heard = step.src_end - step.src_start, step.dest_end - step.dest_start
        if step.tag == "equal":
            if num_wanted > _CHANCE_LETTERS:
                missing = added = 0
            continue
        missing, added = missing + num_wanted, added + num_heard
        longest_missing = max(longest_missing, missing - added)
        longest_added = max(longest_added, added - missing)
    share = Levenshtein.distance(wanted, heard) / max(1, len(wanted))
    return Difference(share, longest_missing, longest_added, max(0, missing - added))


def _findings(found: Difference, wanted: str, heard: str) -> tuple[Finding, ...]:
    length = max(1, len(wanted))
    findings = []
    if found.num_missing > _MAX_MISSING or found.num_missing_at_end > _MAX_MISSING_AT_END or not heard:
        findings.append(Finding(Flag.WORDS_MISSING, _weight(found.num_missing / length)))
    is_twice = Levenshtein.distance(wanted + wanted, heard) < Levenshtein.distance(wanted, heard)
    if found.num_added > _MAX_ADDED or is_twice:
        findings.append(Finding(Flag.WORDS_ADDED, _weight(found.num_added / length)))
    num_wrong = found.share * length - found.num_missing - found.num_added
    if num_wrong > _MAX_SHARE * length + _FREE_LETTERS:
        findings.append(Finding(Flag.WORDS_DIFFER, _weight(found.share)))
    return tuple(findings)


def _weight(share: float) -> float:
    return min(0.95, 0.3 + 0.7 * share)
