"""Marks that a text may hold: `[pause:1.5s]`, `[pause:300ms]`, `[voice:NAME]`; and what only looks like one.

Knows nothing of who obeys them. Whatever begins like a mark is never spoken: neither its keyword nor a half of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

#: Seconds of the longest pause that a mark may ask for.
MAX_PAUSE_S: Final = 30.0

#: Characters within which what begins like a mark must be closed, on one line, to be taken out as a whole. Of one that
#: is not, only the beginning goes: what follows a forgotten bracket is the text.
MAX_MARKUP_CHARS: Final = 80

#: What nobody hears, as the inside of a character class: C0 and C1 controls, soft hyphen, zero-width and bidi controls,
#: tags, lone surrogates. It is taken out before marks are looked for, or `[pau<zero width>se:1s]` would be none.
INAUDIBLE: Final = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
)

_BREAKS: Final = "\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
#: Square brackets as they come from keyboards of all kinds; only `[` and `]` make a mark.
_OPENING: Final = "[\uff3b\ufe47\u3010\u3014"
_CLOSING: Final = "]\uff3d\ufe48\u3011\u3015"
_OPEN: Final = f"[{re.escape(_OPENING)}]"
_CLOSE: Final = f"[{re.escape(_CLOSING)}]"
_COLON: Final = "[:=\uff1a\ufe55\ufe13]"
_GAP: Final = rf"[^\S{_BREAKS}]{{0,8}}"


def _in_any_form(keyword: str) -> str:
    """Return a pattern of a keyword in small, capital and full-width letters."""
    return "".join(f"[{c}{c.upper()}{chr(ord(c) + 0xFEE0)}{chr(ord(c.upper()) + 0xFEE0)}]" for c in keyword)


_PAUSE: Final = _in_any_form("pause")
_VOICE: Final = _in_any_form("voice")
_MARKUP: Final = re.compile(
    rf"""
    \[ (?: pause:(?P<amount>[0-9]{{1,6}}(?:\.[0-9]{{1,6}})?)(?P<unit>ms|s)
         | voice:(?P<voice>[a-z0-9][a-z0-9_-]{{0,63}}) ) \]
    # What begins like a mark. "[Voice over]" and "[pause here]" do not; they are read as they always were.
    | {_OPEN} {_GAP} (?:/ {_GAP})?
      (?: (?P<faulty_pause>{_PAUSE}) {_GAP} (?: {_COLON} | (?=[^\w\s]? {_GAP} \d) | (?={_OPEN}|{_CLOSE}|/|\Z) )
        | {_VOICE} {_GAP} (?: {_COLON} | (?={_OPEN}|{_CLOSE}|/|\Z) ) )
    # One whose opening bracket is missing; taken out up to its end.
    | (?<!\w) (?P<headless> (?:{_PAUSE}|{_VOICE}) {_COLON} [^\s{re.escape(_OPENING + _CLOSING)}]{{1,64}} {_CLOSE} )
    """,
    re.VERBOSE,
)
_STOPS: Final = re.compile(f"(?P<open>{_OPEN})|(?P<close>{_CLOSE})|[{_BREAKS}]")
#: What belongs to the beginning of a mark that is not closed: what touches it, an amount or a name behind a space.
_RUN: Final = rf"[^\s{re.escape(_OPENING + _CLOSING)}]{{1,64}}"
_TOUCHING: Final = re.compile(_RUN)
_AMOUNT: Final = re.compile(
    rf"{_GAP}[^\w\s]?{_GAP}\d{{1,6}}(?:[.,]\d{{1,6}})?(?:{_GAP}(?:m?s|m?secs?|(?:milli)?seconds?)\b)?", re.IGNORECASE
)
_NAME: Final = re.compile(_GAP + _RUN)
_INAUDIBLE: Final = re.compile(f"[{INAUDIBLE}]+")


@dataclass(frozen=True, slots=True)
class Markup:
    """A span of a text that is not spoken, and what it asks for: nothing at all if it is malformed."""

    start: int
    end: int
    #: Seconds of silence, above 0 and at most `MAX_PAUSE_S`.
    pause_s: float | None = None
    #: Name of who speaks from here on.
    voice: str | None = None

    @property
    def is_malformed(self) -> bool:
        """Say whether it only looks like a mark."""
        return self.pause_s is None and self.voice is None


def find_markup(text: str) -> Iterator[Markup]:
    """Yield the marks of a text without inaudible characters, and what only looks like one, in order."""
    position = 0
    while match := _MARKUP.search(text, position):
        markup = _read(text, match)
        yield markup
        position = markup.end


def voices_named(text: str) -> set[str]:
    """Return the names of all voices that marks of a text name; whether they are there is not asked."""
    return {markup.voice for markup in find_markup(_INAUDIBLE.sub("", text)) if markup.voice is not None}


def without_markup(text: str) -> str:
    """Return a text without its marks, for whoever asks whether there is anything to say."""
    text = _INAUDIBLE.sub("", text)
    pieces: list[str] = []
    position = 0
    for markup in find_markup(text):
        pieces.append(text[position : markup.start])
        position = markup.end
    return " ".join([*pieces, text[position:]]) if pieces else text


def _read(text: str, match: re.Match[str]) -> Markup:
    start, end = match.span()
    if match["voice"] is not None:
        return Markup(start, end, voice=match["voice"])
    if match["amount"] is not None:
        pause_s = float(match["amount"]) / (1000.0 if match["unit"] == "ms" else 1.0)
        return Markup(start, end, pause_s=pause_s if 0.0 < pause_s <= MAX_PAUSE_S else None)
    if match["headless"] is not None:
        return Markup(start, end)
    return Markup(start, _malformed_end(text, match))


def _malformed_end(text: str, match: re.Match[str]) -> int:
    """Return where something ends that begins like a mark: behind its bracket, or where its beginning ends."""
    depth = 0
    for stop in _STOPS.finditer(text, match.start(), match.start() + MAX_MARKUP_CHARS):
        if stop["open"]:
            depth += 1
        elif not stop["close"]:
            break
        else:
            depth -= 1
            if depth == 0:
                return stop.end()
    end = match.end()
    values = (_TOUCHING.match(text, end), (_AMOUNT if match["faulty_pause"] else _NAME).match(text, end))
    return max([end, *(value.end() for value in values if value)])
