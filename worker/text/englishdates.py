"""English dates, times of day and decades in words. Knows nothing of the text around them."""

from __future__ import annotations

import re
from typing import Final

from worker.text.numerals import cardinal, ordinal, year

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_SHORT_MONTHS: Final = {month[:3]: month for month in MONTHS} | {"Sept": "September"}
#: A pattern of a month's name, in full or abbreviated.
MONTH: Final = rf"(?:{'|'.join(MONTHS)}|(?:{'|'.join(sorted({*_SHORT_MONTHS} - {'May'}, reverse=True))})\b\.?)"

_ISO: Final = re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})")
_SLASHES: Final = re.compile(r"(?P<first>\d{1,2})/(?P<second>\d{1,2})/(?P<year>\d{4})")
_MONTH_FIRST: Final = re.compile(rf"(?P<month>{MONTH}) ?(?P<day>\d{{1,2}})[a-z]*(?P<comma>,?)(?: ?(?P<year>\d{{4}}))?")
_DAY_FIRST: Final = re.compile(
    rf"(?P<day>\d{{1,2}})(?P<suffix>[a-z]*) ?(?P<of>of )?(?P<month>{MONTH})(?P<comma>,?)(?: ?(?P<year>\d{{4}}))?"
)
_TIME: Final = re.compile(
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d))?(?::(?P<second>\d\d))? ?(?P<half>[AaPp])?\W*[Mm]?\.?"
)


def date_in_words(written: str) -> str | None:
    """Return `March 4, 2024`, `4 March`, `2024-03-04` or `3/4/2024` in words; None for a day that is none.

    Of `3/4/2024` nobody knows which is the month: the first one, as in the United States, where it can be.
    """
    if match := _ISO.fullmatch(written):
        return _date(_month(int(match["month"])), int(match["day"]), ", ", match["year"])
    if match := _SLASHES.fullmatch(written):
        month, day = int(match["first"]), int(match["second"])
        if month > len(MONTHS):
            month, day = day, month
        return _date(_month(month), day, ", ", match["year"])
    if match := _MONTH_FIRST.fullmatch(written):
        return _date(_full(match["month"]), int(match["day"]), f"{match['comma']} ", match["year"])
    if match := _DAY_FIRST.fullmatch(written):
        words = _day(int(match["day"]))
        if words is None:
            return None
        # "4th of July" mostly has its article; "5 May" never has.
        article = "" if match["suffix"] else "the "
        return f"{article}{words} of {_full(match['month'])}{_behind(match['comma'] + ' ', match['year'])}"
    return None


def time_in_words(written: str) -> str | None:
    """Return `5:30 pm`, `17:05`, `10 a.m.` or `10:15:30` in words; None for an hour that no day has."""
    match = _TIME.fullmatch(written)
    if match is None or int(match["hour"]) > 24:
        return None
    hour, half = cardinal(int(match["hour"]), "en"), f" {match['half'].upper()}M" if match["half"] else ""
    minute = int(match["minute"] or 0)
    if minute == 0 and not match["second"]:
        whole = "" if half else " hundred" if int(match["hour"]) > 12 else " o'clock"
        return f"{hour}{whole}{half}"
    minutes = f"{'oh ' if minute < 10 else ''}{cardinal(minute, 'en')}"
    seconds = f" and {cardinal(int(match['second']), 'en')} seconds" if match["second"] else ""
    return f"{hour} {minutes}{seconds}{half}"


def decade_in_words(written: str) -> str | None:
    """Return `1990s` or `'60s` in words; None for what is no decade."""
    number = int(re.sub(r"\D", "", written))
    words = year(number, "en") if number >= 1000 else cardinal(number, "en") if 20 <= number < 100 else None
    if words is None or number % 10:
        return None
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


def _date(month: str | None, day: int, gap: str, figure: str | None) -> str | None:
    words = _day(day)
    return f"{month} {words}{_behind(gap, figure)}" if month and words else None


def _behind(gap: str, figure: str | None) -> str:
    return f"{gap}{year(int(figure), 'en')}" if figure else gap.rstrip()


def _day(day: int) -> str | None:
    return ordinal(day, "en") if 1 <= day <= 31 else None


def _month(number: int) -> str | None:
    return MONTHS[number - 1] if 1 <= number <= len(MONTHS) else None


def _full(month: str) -> str:
    return _SHORT_MONTHS.get(month.rstrip("."), month)
