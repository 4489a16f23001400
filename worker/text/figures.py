"""Figures in running text of the languages other than English: amounts, decimal fractions, years, per cent.

Knows nothing of how they are said. Whatever is not plainly one of these stays as it is: dates, times, sums of money,
ordinals, numbers of houses and of list items.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from worker.text.numerals import cardinal, decimal, year

_SPACES: Final = " \u00a0\u202f"
#: language -> what stands between groups of three digits; the decimal mark is the comma, and the point for the rest.
_GROUPS: Final = {
    **dict.fromkeys(("da", "de", "el", "es", "it", "nl", "pt", "tr"), "."),
    **dict.fromkeys(("fi", "fr", "no", "pl", "ru", "sv"), _SPACES),
}
#: Languages that write ordinals with a point: a figure before a point and another word stays.
_POINT_ORDINALS: Final = frozenset({"da", "de", "el", "fi", "no", "pl", "tr"})
#: Languages whose words stand beside figures without a space.
_WITHOUT_SPACES: Final = frozenset({"ja", "zh"})

#: "per cent", where it follows the number and never changes.
_PER_CENT: Final = {
    "da": "procent",
    "de": "Prozent",
    "el": "τοις εκατό",
    "es": "por ciento",
    "fr": "pour cent",
    "hi": "प्रतिशत",
    "it": "per cento",
    "ja": "パーセント",
    "ms": "peratus",
    "nl": "procent",
    "no": "prosent",
    "pt": "por cento",
    "sv": "procent",
}
#: Where it comes first.
_PER_CENT_BEFORE: Final = {"tr": "yüzde ", "zh": "百分之"}

#: Years that a bare figure of four digits is taken for.
_FIRST_YEAR: Final = 1100
_LAST_YEAR: Final = 2099


@lru_cache(maxsize=32)
def figure_pattern(language: str) -> re.Pattern[str]:
    """Return what finds the figures of a language."""
    group = f"[{_GROUPS.get(language, ',')}]"
    mark = "," if language in _GROUPS else r"\."
    grouped = rf"\d{{1,3}}(?:{group}\d{{3}}){{1,4}}"
    if language == "hi":
        grouped += r"|\d{1,2}(?:,\d\d){1,4},\d{3}"  # lakh and crore
    beside = "A-Za-z_" if language in _WITHOUT_SPACES else r"\w"
    joined = rf"{beside}\d\u2032\u2033#$£€¥₹%°=+\u00d7÷~^*/\\@:"
    # Korean particles and counters follow without a space and decide nothing from a hundred on.
    joined_after = joined.replace(r"\w", r"A-Za-z_") if language == "ko" else joined
    not_ordinal = r"(?!\.\s+\S)" if language in _POINT_ORDINALS else ""
    return re.compile(
        rf"(?<![{joined}'\u2019])(?<!\d[.,])(?<![-\u2013\u2212])(?<!\d[{_SPACES}])"
        rf"(?P<whole>{grouped}|\d{{1,15}})(?:{mark}(?P<fraction>\d{{1,6}}))?"
        rf"(?:[{_SPACES}]?(?P<percent>[%\uff05]))?"
        rf"(?![{joined_after}%\uff05'\u2019-])(?![\u2013\u2212]\d)(?![.,]\d)(?![{_SPACES}][%°$£€¥₹\d])"
        rf"(?!\)?[{_SPACES}]?(?:km|kg|cm|mm|[mglh])\b){not_ordinal}"
    )


def read_figure(match: re.Match[str], language: str) -> str | None:
    """Return a figure in words; None if it stays."""
    digits = re.sub(r"\D", "", match["whole"])
    if len(digits) > 1 and digits[0] in "0\u0660\u0966":
        return None
    number = int(digits)
    if match["fraction"] is not None:
        words = decimal(f"{number}.{int(match['fraction']):0{len(match['fraction'])}}", language)
    elif match["percent"] is None and _is_year(match, number, language):
        words = year(number, language) or cardinal(number, language)
    else:
        words = cardinal(number, language)
    if words is None or match["percent"] is None:
        return words
    if before := _PER_CENT_BEFORE.get(language):
        return before + words
    after = _PER_CENT.get(language)
    gap = "" if language in _WITHOUT_SPACES else " "
    return f"{words}{gap}{after}" if after else None


def _is_year(match: re.Match[str], number: int, language: str) -> bool:
    if len(match["whole"]) != len("1984") or not _FIRST_YEAR <= number <= _LAST_YEAR:
        return False
    # Chinese reads the figures of a year one by one, and says that it is one.
    return language != "zh" or match.string.startswith("年", match.end())
