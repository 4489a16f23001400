"""Two libraries that know abbreviations: yasbd, and sentencex where yasbd is slow or fails.

Nothing outside of this file knows either.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Final

import sentencex
from yasbd import BoundaryDetector
from yasbd.rules import load_rule

from producer.contract.languages import LANGUAGES

logger = logging.getLogger(__name__)

#: Characters that the detector sees at once. Its time grows with the square of a run of "... " or "(a ": 2,000
#: characters of those take 0.06 s, 8,000 take 0.7 s.
WINDOW_CHARS: Final = 2_000

#: Languages that yasbd has no rules for -> whose rules do instead.
_STAND_INS: Final = {"no": "sv", "ms": "id", "he": "en", "fi": "en"}
#: Abbreviations that the libraries do not know, in small letters without the last full stop; none ends a sentence.
_MORE_ABBREVIATIONS: Final = {
    "fi": frozenset(["esim", "ks", "vrt", "mm", "ts", "yms", "n", "noin", "nk", "so", "klo", "puh", "os", "s"]),
    "ms": frozenset(["en", "pn", "tn", "cik", "hj", "hjh", "sdr", "dll", "dsb", "spt", "cth", "no"]),
    "no": frozenset(["f.eks", "bl.a", "ca", "kl", "nr", "jf", "dvs", "mht", "osv"]),
    "sw": frozenset(["bw", "bi", "dkt", "n.k", "k.m", "prof"]),
}
#: Words that the libraries take for abbreviations, which end sentences far more often. "hon": Swedish for "she".
_WORDS: Final = {
    "en": frozenset(["art", "long", "min", "no", "pen", "sat", "sun", "tab", "wash"]),
    "sv": frozenset(["bil", "fil", "fre", "hon", "man", "red"]),
}

_MARK: Final = re.compile(r"[^\w\s]")
#: Share of marks above which a window is no prose, and slow for yasbd. Dialogue in Chinese has about 0.2.
_MAX_MARKS: Final = 0.25
#: Windows too small to be slow, whatever they hold.
_SMALL_CHARS: Final = 400


@lru_cache(maxsize=64)
def abbreviations(language: str) -> frozenset[str]:
    """Return what may stand before a full stop that ends no sentence: small letters, without the full stop."""
    rule = load_rule(_profile(language), ext_registry={})
    known = {str(word) for name in dir(rule) if name.endswith("_ABBRVS") for word in getattr(rule, name)}
    lower = {word.lower().rstrip(".").split(".")[-1].split()[-1] for word in known if word.strip(". ")}
    more = {word.split(".")[-1] for word in _MORE_ABBREVIATIONS.get(language, ())}
    return frozenset(lower | more) - _WORDS.get(language if language in LANGUAGES else "en", frozenset())


def detect(text: str, language: str) -> list[int]:
    """Return where the libraries think that sentences end, ascending; the last is the text's own end.

    Args:
        text: a paragraph or a part of one, on one line.
        language: one of our codes; an unknown one is read as English.
    """
    ends: list[int] = []
    start = 0
    while len(text) - start > WINDOW_CHARS:
        window = text[start : start + WINDOW_CHARS]
        # The last sentence in the window goes on beyond it: it is looked at again with what follows.
        found = [end for end in _detect_in(window, language) if window[:end].strip()][:-1]
        ends += (start + end for end in found)
        start = ends[-1] if found else start + _last_space(window)
    ends += (start + end for end in _detect_in(text[start:], language))
    return [*(end for end in ends if end < len(text)), len(text)]


def _last_space(window: str) -> int:
    """Return where a window without a sentence's end can be left: behind its last space, or at its end."""
    return window.rfind(" ") + 1 or len(window)


def _detect_in(window: str, language: str) -> list[int]:
    num_marks = len(_MARK.findall(window))
    if not num_marks:
        return [len(window)]
    if len(window) > _SMALL_CHARS and num_marks > _MAX_MARKS * len(window):
        return _sentencex_ends(window, language)
    try:
        ends = list(_detector(_profile(language)).detect(window)) or [len(window)]
    except Exception as error:  # noqa: BLE001 - a young library; whatever it stumbles over must not stop a narration
        logger.warning("sentence_detector_failed", extra={"language": language, "error": type(error).__name__})
        return _sentencex_ends(window, language)
    more = _MORE_ABBREVIATIONS.get(language)
    return [end for end in ends if not more or not _is_one(window[:end], more)]


def _is_one(text: str, more: frozenset[str]) -> bool:
    """Say whether a text ends with an abbreviation that yasbd does not know."""
    before = text.rstrip()
    return (
        before.endswith(".") and before[:-1].rsplit(maxsplit=1)[-1:] != [] and before[:-1].split()[-1].lower() in more
    )


def _sentencex_ends(window: str, language: str) -> list[int]:
    return [sentence["end_index"] for sentence in sentencex.get_sentence_boundaries(language, window)] or [len(window)]


def _profile(language: str) -> str:
    return _STAND_INS.get(language, language) if language in LANGUAGES else "en"


@lru_cache(maxsize=64)
def _detector(language: str) -> BoundaryDetector:
    return BoundaryDetector(lang=language, preserve_quote_and_paren=False)
