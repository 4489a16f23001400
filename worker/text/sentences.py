"""Where sentences end, in 23 languages. Knows nothing of segments.

Two libraries stand behind it: yasbd, which makes the fewest false ends, and sentencex, which is fast on whatever
yasbd is slow on and takes over where yasbd fails. Nothing outside of this file knows either.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Final

import sentencex
from yasbd import BoundaryDetector

from worker.text.measure import MAX_SEGMENT_UNITS, units

logger = logging.getLogger(__name__)

#: Characters that the detector sees at once. Its time grows with the square of a run of "... " or "(a ": 2,000
#: characters of those take 0.06 s, 8,000 take 0.7 s.
WINDOW_CHARS: Final = 2_000

#: Languages that yasbd has no rules for -> whose rules do instead.
_STAND_INS: Final = {"no": "sv", "ms": "id", "he": "en", "fi": "en"}

_MARK: Final = re.compile(r"[^\w\s]")
#: Share of marks above which a window is no prose, and slow for yasbd. Dialogue in Chinese has about 0.2.
_MAX_MARKS: Final = 0.25
#: Windows too small to be slow, whatever they hold.
_SMALL_CHARS: Final = 400


def sentence_ends(text: str, language: str) -> list[int]:
    """Return the end of each sentence of one paragraph, ascending; the last is the paragraph's own.

    What somebody says in quotes belongs to one sentence, unless that is too long to be spoken at once.

    Args:
        text: one paragraph on one line, without line breaks.
        language: one of our codes; an unknown one is read as English.
    """
    ends = []
    start = 0
    for end in _ends(text, language, keeps_quotes=True):
        if units(text[start:end]) > MAX_SEGMENT_UNITS:
            ends += [start + inner for inner in _ends(text[start:end], language, keeps_quotes=False)]
        else:
            ends.append(end)
        start = end
    return ends


def _ends(text: str, language: str, *, keeps_quotes: bool) -> list[int]:
    ends: list[int] = []
    start = 0
    while len(text) - start > WINDOW_CHARS:
        window = text[start : start + WINDOW_CHARS]
        # The last sentence in the window goes on beyond it: it is looked at again with what follows.
        found = [end for end in _ends_in(window, language, keeps_quotes) if window[:end].strip()][:-1]
        ends += (start + end for end in found)
        start = ends[-1] if found else start + _last_space(window)
    ends += (start + end for end in _ends_in(text[start:], language, keeps_quotes))
    return [*(end for end in ends if end < len(text)), len(text)]


def _last_space(window: str) -> int:
    """Return where a window without a sentence's end can be left: behind its last space, or at its end."""
    return window.rfind(" ") + 1 or len(window)


def _ends_in(window: str, language: str, keeps_quotes: bool) -> list[int]:
    num_marks = len(_MARK.findall(window))
    if not num_marks:
        return [len(window)]
    if len(window) > _SMALL_CHARS and num_marks > _MAX_MARKS * len(window):
        return _sentencex_ends(window, language)
    try:
        return list(_detector(_STAND_INS.get(language, language), keeps_quotes).detect(window)) or [len(window)]
    except Exception as error:  # noqa: BLE001 - a young library; whatever it stumbles over must not stop a narration
        logger.warning("sentence_detector_failed", extra={"language": language, "error": type(error).__name__})
        return _sentencex_ends(window, language)


def _sentencex_ends(window: str, language: str) -> list[int]:
    return [sentence["end_index"] for sentence in sentencex.get_sentence_boundaries(language, window)] or [len(window)]


@lru_cache(maxsize=64)
def _detector(language: str, keeps_quotes: bool) -> BoundaryDetector:
    return BoundaryDetector(lang=language, preserve_quote_and_paren=keeps_quotes)
