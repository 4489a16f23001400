"""Languages by the three letters that ID3 and MP4 want. Knows nothing of either."""

from __future__ import annotations

from typing import Final

#: The contract's code (ISO 639-1) -> ISO 639-2/T.
_THREE_LETTERS: Final = {
    "ar": "ara", "da": "dan", "de": "deu", "el": "ell", "en": "eng", "es": "spa", "fi": "fin", "fr": "fra",
    "he": "heb", "hi": "hin", "it": "ita", "ja": "jpn", "ko": "kor", "ms": "msa", "nl": "nld", "no": "nor",
    "pl": "pol", "pt": "por", "ru": "rus", "sv": "swe", "sw": "swa", "tr": "tur", "zh": "zho",
}  # fmt: skip

UNDETERMINED: Final = "und"


def three_letters(language: str | None) -> str:
    """Return a language's code of three letters; `und` if it is not known."""
    return _THREE_LETTERS.get(language or "", UNDETERMINED)
