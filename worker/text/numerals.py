"""Numbers in words, in the languages and forms that CLDR knows. Knows nothing of the text around a number.

A number is put into words only where that is right whatever stands beside it: languages that inflect it by gender or
by case keep the figure where the forms differ, and the model reads it as well as it can.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from unicode_rbnf import FormatPurpose, RbnfEngine

#: What a number has to stay below; longer figures name something and count nothing.
MAX_NUMBER: Final = 10**15
#: The same where a preposition or a plural follows a million: "un million de livres".
_MAX_ELSEWHERE: Final = 10**6
_WITH_PLAIN_MILLIONS: Final = frozenset({"de", "en", "hi", "ja", "ko", "ms", "nl", "tr", "zh"})
#: CLDR spells Greek thousands with two accents.
_MAX_GREEK: Final = 2_000

#: Languages whose numbers take cases and genders of which CLDR's tables do not tell enough: figures stay.
_INFLECTED: Final = frozenset({"ar", "fi", "he", "pl", "ru"})
#: Languages that read "3,14" the way in which CLDR spells it. In French and Portuguese its digits have a gender.
_DECIMAL: Final = frozenset({"da", "de", "el", "en", "es", "hi", "it", "ko", "ms", "nl", "sv", "tr", "zh"})
#: Languages in which a year is read as CLDR spells years or, second, as it spells amounts.
_YEARS: Final = frozenset(
    {"da", "de", "el", "en", "es", "fi", "he", "it", "ms", "nl", "no", "pt", "sv", "sw", "tr", "zh"}
)
_YEARS_AS_AMOUNTS: Final = frozenset({"fr"})
#: Languages that say the years from 2000 on in another way than CLDR.
_OLD_YEARS_ONLY: Final = frozenset({"da", "el", "no"})
#: Forms for bank notes and for days of the lunar calendar, which no running text asks for.
_OTHER_FORMS: Final = ("financial", "days")
#: Swahili counts things by their class with these last digits: watu wawili, vitabu viwili.
_SWAHILI_CLASSED: Final = frozenset({1, 2, 3, 4, 5, 8})
#: From here on Korean has Chinese numbers only; below, the word that follows decides.
_KOREAN_NATIVE_BELOW: Final = 100


def cardinal(number: int, language: str) -> str | None:
    """Return an amount in words; None if what is counted decides how it is said."""
    if language in _INFLECTED or not 0 <= number < _largest(language):
        return None
    if language == "sw" and number % 10 in _SWAHILI_CLASSED:
        return None
    if language == "ko" and number < _KOREAN_NATIVE_BELOW:
        return None
    result = _engine(language).format_number(number)
    forms = {
        text
        for name, text in result.text_by_ruleset.items()
        if "cardinal" in name and not name.endswith(_OTHER_FORMS) and not (language == "ko" and "native" in name)
    }
    return result.text if len(forms) == 1 and result.text in forms else None


def decimal(figure: str, language: str) -> str | None:
    """Return a decimal fraction in words, its digits one by one; None where CLDR's spelling is not what is said.

    Args:
        figure: digits, a point and digits.
        language: one of our codes.
    """
    if language not in _DECIMAL or float(figure) >= _largest(language):
        return None
    whole, _, digits = figure.partition(".")
    engine = _engine(language)
    # CLDR is asked digit by digit: a float would drop the zeros at the end.
    point = engine.format_number("0.5").text.removeprefix(engine.format_number(0).text)
    point = point.removesuffix(engine.format_number(5).text)
    gap = " " if point.endswith(" ") else ""
    return engine.format_number(int(whole)).text + point + gap.join(engine.format_number(int(d)).text for d in digits)


def ordinal(number: int, language: str) -> str | None:
    """Return an ordinal in words, in languages with one form of it."""
    return _engine(language).format_number(number, FormatPurpose.ORDINAL).text if language == "en" else None


def year(number: int, language: str) -> str | None:
    """Return a year in words; None where a year is read in a form that CLDR does not give."""
    if language == "hi":
        return _hindi_year(number)
    if language == "zh":
        return "".join("〇一二三四五六七八九"[int(digit)] for digit in str(number))
    if language in _YEARS_AS_AMOUNTS:
        return cardinal(number, language)
    if language not in _YEARS or (number >= 2000 and language in _OLD_YEARS_ONLY):
        return None
    # CLDR has "eleven hundred" for 1100 and "two thousand" for 2000, as people say.
    return _engine(language).format_number(number, FormatPurpose.YEAR).text


def _hindi_year(number: int) -> str | None:
    hundreds, rest = divmod(number, 100)
    if not 11 <= hundreds <= 19:  # 1984 is "nineteen hundreds eighty-four"; from 2000 on years are amounts
        return cardinal(number, "hi")
    parts = [cardinal(hundreds, "hi"), "सौ", cardinal(rest, "hi") if rest else None]
    return " ".join(part for part in parts if part)


def _largest(language: str) -> int:
    if language == "el":
        return _MAX_GREEK
    return MAX_NUMBER if language in _WITH_PLAIN_MILLIONS else _MAX_ELSEWHERE


@lru_cache(maxsize=32)
def _engine(language: str) -> RbnfEngine:
    return RbnfEngine.for_language(language)
