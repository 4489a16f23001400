"""The text without what nobody can hear, and the way back to the original's positions.

Knows nothing of paragraphs or sentences.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from worker.text.markup import Mark

#: Ends a paragraph by itself; PARAGRAPH SEPARATOR and form feed become this.
PARAGRAPH_BREAK: Final = "\f"

#: What becomes one line break: CRLF, CR, vertical tab, NEL, LINE SEPARATOR, and the C0 record separators.
_LINE_BREAK: Final = re.compile("\r\n|[\r\v\x1c-\x1e\x85\u2028]")

#: What is taken out. C0 and C1 controls, soft hyphen, zero-width and bidi controls, tags, lone surrogates.
_INAUDIBLE: Final = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
)
#: Square brackets, with the forms that compatibility normalization turns into them. Tokenizers read `[STOP]` or `[fr]`
#: in a text as commands. Nested ones would survive the removal of whole `[word]` patterns, so every bracket goes;
#: nobody hears a bracket.
_BRACKETS: Final = r"\[\]\uff3b\uff3d\ufe47\ufe48"
_CHANGES: Final = re.compile(f"(?P<line>{_LINE_BREAK.pattern})|(?P<paragraph>\u2029)|[{_INAUDIBLE}]+")
_MARKS: Final = re.compile(rf"(?P<bracket>[{_BRACKETS}])|[*_]{{1,3}}")
#: What may stand between a word and the mark that ends its emphasis.
_ENDS_OF_WORDS: Final = frozenset(".,!?;:…")

#: A character with what composition may join to it: everything that is no ASCII, up to the next that is.
_CLUSTER: Final = re.compile(r"[\x00-\x7f]?[^\x00-\x7f\s]{1,32}")

#: Han, kana and their punctuation, which are written without spaces: a line break between two of them is none.
_UNSPACED: Final = "\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff9f\U00020000-\U0003ffff"
_JOINTS: Final = re.compile(rf"(?<=[{_UNSPACED}])[ \t]*\n\s*(?=[{_UNSPACED}])|(?<=\w-)\n\s*(?=\w)")
_SPACE: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class OffsetMap:
    """Where the characters of a rewritten text were before."""

    #: Positions in the new text, ascending; the first is 0.
    starts: list[int]
    #: From the start in the same place on: what to add to a new position to get the old one.
    shifts: list[int]

    def before(self, position: int) -> int:
        """Return where the character at this position was."""
        return position + self.shifts[bisect_right(self.starts, position) - 1]


@dataclass(frozen=True, slots=True)
class CleanText:
    """A text with inaudible characters taken out, and the way back."""

    text: str
    #: One map for each rewriting, the last one first.
    maps: tuple[OffsetMap, ...]
    #: What was marked in it, in order; two may stand at one position.
    marks: tuple[Mark, ...] = ()

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span in the original of a span of the clean text, with what was taken out behind it."""
        for offset_map in self.maps:
            start, end = offset_map.before(start), offset_map.before(end)
        return start, end


def clean(text: str) -> CleanText:
    """Return the text composed (NFC), with one kind of line break, without controls, brackets and emphasis marks."""
    # In this order: a zero-width character must not hide what stands beside a bracket, and what is composed last
    # cannot grow again when it is spoken.
    text, controls = _rewritten(text, _CHANGES.finditer(text), _audible)
    text, marks = _rewritten(text, _MARKS.finditer(text), _without_mark)
    if unicodedata.is_normalized("NFC", text):
        return CleanText(text, (marks, controls))
    text, composition = _rewritten(text, _CLUSTER.finditer(text), _composed)
    return CleanText(text, (composition, marks, controls))


def _rewritten(
    text: str, matches: Iterable[re.Match[str]], replacement: Callable[[re.Match[str]], str]
) -> tuple[str, OffsetMap]:
    pieces: list[str] = []
    starts, shifts = [0], [0]
    done = length = 0
    for match in matches:
        kept, new = text[done : match.start()], replacement(match)
        pieces += (kept, new)
        length += len(kept)
        # Where the new text is the longer one, its last characters all stand for the end of the old one.
        for place in range(len(match[0]), len(new)):
            starts.append(length + place)
            shifts.append(match.end() - length - place)
        length += len(new)
        done = match.end()
        starts.append(length)
        shifts.append(done - length)
    pieces.append(text[done:])
    return "".join(pieces), OffsetMap(starts, shifts)


def _audible(match: re.Match[str]) -> str:
    """Return what stands for a line break, a page break or something that nobody hears."""
    if match.lastgroup == "line":
        return "\n"
    return PARAGRAPH_BREAK if match.lastgroup == "paragraph" else ""


def _without_mark(match: re.Match[str]) -> str:
    """Return nothing for `_very_` or `**very**`; what stands inside of snake_case or 3*4 stays."""
    before, after = match.string[match.start() - 1 : match.start()], match.string[match.end() : match.end() + 1]
    if match.lastgroup == "bracket":
        return " " if before.isalnum() and after.isalnum() else ""
    is_opening = not before.isalnum() and after.isalnum()
    is_closing = (before.isalnum() or before in _ENDS_OF_WORDS) and not after.isalnum()
    return "" if is_opening or is_closing else match[0]


def _composed(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFC", match[0])


def spoken(text: str) -> str:
    """Return a slice of clean text as it is spoken: lines joined, white space folded, composed characters."""
    folded = _SPACE.sub(" ", _JOINTS.sub("", text)).strip()
    return unicodedata.normalize("NFC", folded)
