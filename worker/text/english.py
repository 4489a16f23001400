"""Figures and symbols in English text, and how they are said. Knows nothing of where the text comes from."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from worker.text.englishamounts import address_in_words, fraction_in_words, money_in_words
from worker.text.englishdates import MONTH, date_in_words, decade_in_words, time_in_words
from worker.text.englishunits import UNIT, unit_in_words
from worker.text.numerals import cardinal, decimal, ordinal, year
from worker.text.roman import roman_value

_KEYWORDS: Final = "Chapter|Book|Part|Volume|Act|Scene|Section|Canto|Psalm|Article|War"
#: Names of rulers and popes, whose Roman numeral is an ordinal.
_RULERS: Final = (
    "Henry|Edward|Richard|George|William|James|Charles|Louis|Philip|Napoleon|Elizabeth|John|Paul|Pius|Benedict|Leo|"
    "Gregory|Innocent|Clement|Urban|Alexander|Nicholas|Frederick|Francis|Ferdinand|Peter|Catherine|Ivan|Otto|Rudolf|"
    "Wilhelm|Robert|Harald|Olaf|Gustav|Christian|Emmanuel|Ramses|Ptolemy|Darius|Constantine"
)
#: `I` is mostly the pronoun: it counts at the end of a line, before a point or a colon, and in "World War I". `C`, `D`,
#: `L` and `M` alone are letters.
_ROMAN: Final = r"(?:[IVX][IVXLC]{1,7}|[LC][IVXLC]{1,7}|[VX]|I(?=[ \t]*(?:\n|\Z|[.:\u2013\u2014]))|(?<=World War )I)\b"
#: A space, with a line break at most; and the same or nothing.
_GAP: Final = r"(?:[ \t\u00a0\u202f]{1,3}\n?[ \t\u00a0\u202f]{0,3}|\n[ \t\u00a0\u202f]{0,3})"
_S: Final = r"(?:[ \t\u00a0\u202f]{0,3}\n?[ \t\u00a0\u202f]{0,3})"
_NUMBER: Final = r"(?:\d{1,3}(?:,\d{3}){1,4}|\d{1,15})"
_HALF: Final = r"(?:[ap]\.m\.|[AaPp][Mm]\b)"
_DAY: Final = r"\d{1,2}(?:st|nd|rd|th)?"

#: What is looked for, in this order: where several begin at one place, the first one is read.
_FORMS: Final = {
    "address": r"(?:https?://|www\.)[\w.~:/?#@!$&*+,;=%-]{3,200}[\w/]|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}",
    "part": rf"\b(?:{_KEYWORDS}|{_KEYWORDS.upper()}){_GAP}(?:{_ROMAN}|\d{{1,4}}\b)",
    "ruler": rf"\b(?:{_RULERS}){_GAP}(?:[IVX]{{2,6}}\b|V\b(?!\.))",
    "abbreviation": rf"\b(?:[Nn]os?|pp?|[Vv]ols?|[Ff]igs?|[Cc]h)\.{_S}\d{{1,5}}(?:[-\u2013]\d{{1,5}})?\b",
    "money": rf"[$£€¥]{_S}{_NUMBER}(?:\.\d{{1,2}})?(?:{_S}(?:thousand|million|billion|trillion|bn|m|k)\b)?",
    "time": rf"\b\d{{1,2}}(?::[0-5]\d){{1,2}}(?:{_S}{_HALF})?|\b\d{{1,2}}{_S}{_HALF}",
    "date": rf"\b{MONTH}{_S}{_DAY}\b(?:,?{_S}\d{{4}}\b)?|\b{_DAY}{_S}(?:of{_S})?{MONTH}(?:,?{_S}\d{{4}}\b)?"
    r"|\b\d{4}-\d{1,2}-\d{1,2}\b|\b\d{1,2}/\d{1,2}/\d{2,4}\b",
    "phone": r"(?:\+1[ -])?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-.]\d{4}\b|\b\d{3}-\d{4}\b",
    "version": r"\b\d{1,5}(?:\.\d{1,5}){2,5}\b",
    "decade": r"(?:\b|['\u2019])\d{2,4}s\b",
    "ordinal": r"\b\d{1,3}(?:,\d{3})*(?:st|nd|rd|th)\b",
    "fraction": r"\b(?:\d{1,3} )?\d{1,2}/\d{1,3}\b",
    "range": rf"\b{_NUMBER}[-\u2013]{_NUMBER}\b",
    "measure": rf"(?:(?<!\w)[-\u2212])?\b{_NUMBER}(?:\.\d{{1,6}})?[ \u00a0\u202f-]?(?:{UNIT})",
    "number": rf"(?:(?<![\w)])[-\u2212])?\b{_NUMBER}(?:\.\d{{1,6}})?\b",
    "and": r"(?<=\w) ?& ?(?=\w)",
}
#: Nothing is read that is a piece of something longer, of a formula or of a code.
_BEFORE: Final = r"(?<![\w@#^~=+\u00d7÷*\\/$£€¥.-])(?<!\d[,:\u2013\u2212'\u2019])(?<!\d['\u2019] )"
_AFTER: Final = r"(?![\w@#^~=+\u00d7÷*\\/%°\u2032\u2033])(?![.,:\u2013-]\d)(?!['\u2019] ?\d)"
_UNGUARDED: Final = frozenset({"address", "and"})
EXPRESSION: Final = re.compile(
    "|".join(
        f"(?P<{name}>{form})" if name in _UNGUARDED else f"(?P<{name}>{_BEFORE}(?:{form}){_AFTER})"
        for name, form in _FORMS.items()
    )
)

#: Years that a bare figure of four digits is taken for; "1001 nights" is a number.
_FIRST_YEAR: Final = 1010
_LAST_YEAR: Final = 2099
_DIGIT_WORDS: Final = ("oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_WHITE_SPACE: Final = re.compile(r"\s+")


def read_english(match: re.Match[str]) -> str | None:
    """Return what is said for a match of `EXPRESSION`; None if it stays as it is."""
    kind = match.lastgroup or ""
    return _read(kind, _WHITE_SPACE.sub(" ", match[0]))


@lru_cache(maxsize=4_096)
def _read(kind: str, written: str) -> str | None:
    words = _READERS[kind](written)
    return None if words is None or any(c.isdigit() for c in words) else words


def _number(written: str) -> str | None:
    sign = "minus " if written[0] in "-\u2212" else ""
    figure = written.lstrip("-\u2212").replace(",", "")
    if "." in figure:
        words = decimal(figure, "en")
    elif len(figure) > 1 and figure.startswith("0"):
        words = " ".join(_DIGIT_WORDS[int(digit)] for digit in figure)
    elif not sign and len(written) == len("1984") and _FIRST_YEAR <= int(figure) <= _LAST_YEAR:
        words = year(int(figure), "en")
    else:
        words = cardinal(int(figure), "en")
    return sign + words if words else None


def _ordinal(written: str) -> str | None:
    return ordinal(int(re.sub(r"\D", "", written)), "en")


def _part(written: str) -> str | None:
    keyword, _, numeral = written.rpartition(" ")
    value = int(numeral) if numeral.isdecimal() else roman_value(numeral)
    words = cardinal(value, "en") if value is not None else None
    # With capitals, as in a heading: that is how a heading is told from a sentence.
    return f"{keyword} {words.title()}" if keyword and words else None


def _ruler(written: str) -> str | None:
    name, _, numeral = written.rpartition(" ")
    value = roman_value(numeral)
    return f"{name} the {(ordinal(value, 'en') or '').title()}" if name and value else None


def _abbreviation(written: str) -> str | None:
    short, _, figures = written.partition(".")
    words = _range(figures.strip()) if re.search(r"[-\u2013]", figures) else _number(figures.strip())
    names = {"no": "number", "nos": "numbers", "p": "page", "pp": "pages", "vol": "volume", "vols": "volumes"}
    names |= {"fig": "figure", "figs": "figures", "ch": "chapter"}
    name = names[short.lower()]
    if words is None:
        return None
    return f"{name.capitalize() if short[0].isupper() else name} {words}"


def _range(written: str) -> str | None:
    first, last = re.split(r"[-\u2013]", written)
    if len(last) < len(first) == len("1914") and _FIRST_YEAR <= int(first) <= _LAST_YEAR:
        return None  # 1914-18 is no range of numbers
    words = [_number(first), _number(last)]
    return " to ".join(word for word in words if word) if all(words) else None


def _phone(written: str) -> str | None:
    if written.endswith("00") and len(written) == len("500-1000"):
        return _range(written)  # people have numbers of all kinds, and a guess of how many is round
    groups = re.findall(r"\d+", written)
    return ", ".join(" ".join(_DIGIT_WORDS[int(digit)] for digit in group) for group in groups)


def _version(written: str) -> str | None:
    return " point ".join(cardinal(int(part), "en") or "" for part in written.split("."))


def _measure(written: str) -> str | None:
    match = re.fullmatch(rf"([-\u2212]?)([\d,.]*\d)[ \u00a0\u202f-]?({UNIT})", written)
    if match is None:
        return None
    figure = match[2].replace(",", "")
    words = decimal(figure, "en") if "." in figure else cardinal(int(figure), "en")
    return f"{'minus ' if match[1] else ''}{words} {unit_in_words(match[3], is_one=figure == '1')}" if words else None


def _and(written: str) -> str | None:
    return " and " if written == " & " else None


_READERS: Final[dict[str, Callable[[str], str | None]]] = {
    "part": _part,
    "ruler": _ruler,
    "abbreviation": _abbreviation,
    "phone": _phone,
    "version": _version,
    "ordinal": _ordinal,
    "range": _range,
    "measure": _measure,
    "number": _number,
    "and": _and,
    "address": address_in_words,
    "money": money_in_words,
    "time": time_in_words,
    "date": date_in_words,
    "decade": decade_in_words,
    "fraction": fraction_in_words,
}
