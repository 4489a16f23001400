"""Texts as the sounds that they stand for, so that what was written can be compared with what was heard.

Knows nothing of recognizers.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any, Final

from unicode_rbnf import RbnfEngine

#: Between digits: "1,984" and "1 984" are one number. Not a decimal point.
_GROUPING: Final = re.compile(r"(?<=\d)[,\u00a0\u202f\u2009'\u2019](?=\d{3}(?!\d))")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
#: Longer numbers are read digit by digit, as telephone numbers are.
_MAX_DIGITS: Final = 12
_YEAR: Final = re.compile(r"1[1-9]\d\d|20[1-9]\d")
#: Marks that are written and not said, and letters that sound alike to the ear that a recognizer has.
_SIGNS: Final = {"&": " and ", "%": " percent "}


def sounds_of(text: str, language: str, *, years_in_pairs: bool = False) -> str:
    """Return the letters of what is said, lower case, without marks or spaces; numbers are written out.

    Args:
        text: as it is written.
        language: by its code; numbers are written out in it.
        years_in_pairs: "1984" as nineteen eighty-four.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = _GROUPING.sub("", plain)
    plain = _NUMBER.sub(lambda number: f" {_said(number.group(), language, years_in_pairs)} ", plain)
    if language == "en":
        for sign, words in _SIGNS.items():
            plain = plain.replace(sign, words)
    letters = unicodedata.normalize("NFD", plain)
    return "".join(letter for letter in letters if unicodedata.category(letter) in {"Ll", "Lo", "Lm", "Mc"})


def has_year(text: str) -> bool:
    """Return whether a number in a text may be a year."""
    return _YEAR.search(text) is not None


def _said(number: str, language: str, years_in_pairs: bool) -> str:
    speller = _speller(language)
    if speller is None:
        return number
    if years_in_pairs and _YEAR.fullmatch(number):
        first, last = int(number[:2]), int(number[2:])
        ending = "hundred" if last == 0 else ("oh " if last < 10 else "") + _spelled(speller, last)
        return f"{_spelled(speller, first)} {ending}"
    if len(number) > _MAX_DIGITS:
        return " ".join(_spelled(speller, int(digit)) for digit in number if digit.isdigit())
    if "." in number:
        whole, _, digits = number.partition(".")
        return " ".join([_spelled(speller, int(whole)), "point", *(_spelled(speller, int(digit)) for digit in digits)])
    return _spelled(speller, int(number))


@cache
def _speller(language: str) -> Any:
    """Return what writes numbers out in a language (CLDR); None if nothing does."""
    try:
        return RbnfEngine.for_language(language)
    except ValueError:
        return None


def _spelled(speller: Any, number: int) -> str:
    return str(speller.format_number(number).text)
