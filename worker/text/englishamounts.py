"""English sums of money, fractions and addresses of the web in words. Knows nothing of the text around them."""

from __future__ import annotations

import re
from typing import Final

from worker.text.numerals import cardinal, decimal, ordinal

#: sign -> one, many, one hundredth, many of them.
_CURRENCIES: Final = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", None, None),
}
_SCALES: Final = {"k": "thousand", "m": "million", "bn": "billion"}
_MONEY: Final = re.compile(r"(?P<sign>[$£€¥]) ?(?P<whole>[\d,]+)(?:\.(?P<part>\d{1,2}))? ?(?P<scale>[a-z]+)?")

#: What people divide by; 9/11 is a day, 24/7 a habit.
_DENOMINATORS: Final = frozenset({2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 32, 64, 100})
_FRACTION: Final = re.compile(r"(?:(?P<whole>\d+) )?(?P<part>\d+)/(?P<of>\d+)")

_SIGNS: Final = {
    ".": "dot", "/": "slash", "@": "at", "-": "dash", "_": "underscore", ":": "colon", "?": "question mark",
    "=": "equals", "&": "and", "#": "hash", "%": "percent", "+": "plus", "~": "tilde",
}  # fmt: skip
_ADDRESS_PART: Final = re.compile(r"[^\W\d_]+|\d|[^\w]|_")


def money_in_words(written: str) -> str | None:
    """Return `$12.50`, `£3` or `€1.5 million` in words."""
    match = _MONEY.fullmatch(written)
    if match is None:
        return None
    one, many, cent, cents = _CURRENCIES[match["sign"]]
    whole, part = int(match["whole"].replace(",", "")), match["part"]
    if match["scale"] or (part and (len(part) == 1 or cent is None)):
        amount = decimal(f"{whole}.{part}", "en") if part else cardinal(whole, "en")
        scale = _SCALES.get(match["scale"], match["scale"]) if match["scale"] else ""
        return " ".join(word for word in (amount, scale, many) if word) if amount else None
    words = []
    if whole or not int(part or 0):
        words += [cardinal(whole, "en"), one if whole == 1 else many]
    if part and int(part):
        words += [cardinal(int(part), "en"), cent if int(part) == 1 else cents]
    return " ".join(word or "" for word in words) if all(words) else None


def fraction_in_words(written: str) -> str | None:
    """Return `1/2` or `2 3/4` in words; None for what may be a day, a score or a code."""
    match = _FRACTION.fullmatch(written)
    if match is None:
        return None
    part, of = int(match["part"]), int(match["of"])
    if not 0 < part < of or of not in _DENOMINATORS:
        return None
    name = {2: "half", 4: "quarter"}.get(of) or ordinal(of, "en") or ""
    if match["whole"]:
        count = "a" if part == 1 else cardinal(part, "en")
        return f"{cardinal(int(match['whole']), 'en')} and {count} {name}{'' if part == 1 else 's'}"
    return f"{cardinal(part, 'en')} {name}{'' if part == 1 else 's'}"


def address_in_words(written: str) -> str | None:
    """Return an address of the web or of a mailbox as one reads it out."""
    parts = _ADDRESS_PART.findall(re.sub(r"^https?://", "", written))
    return " ".join(
        _SIGNS.get(part) or (cardinal(int(part), "en") if part.isdecimal() else part) or "" for part in parts
    )
