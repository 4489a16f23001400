"""The text without what nobody can hear, and the way back to the original's positions.

Knows nothing of paragraphs or sentences.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from producer.contract.markup import INAUDIBLE, Markup, find_markup
from worker.text.markup import Mark
from worker.text.offsets import Edit, OffsetMap, rewritten

#: Ends a paragraph by itself; PARAGRAPH SEPARATOR and form feed become this.
PARAGRAPH_BREAK: Final = "\f"

#: What becomes one line break: CRLF, CR, vertical tab, NEL, LINE SEPARATOR, and the C0 record separators.
_LINE_BREAK: Final = re.compile("\r\n|[\r\v\x1c-\x1e\x85\u2028]")

#: Square brackets, with the forms that compatibility normalization turns into them. Tokenizers read `[STOP]` or `[fr]`
#: in a text as commands. Nested ones would survive the removal of whole `[word]` patterns, so every bracket goes;
#: nobody hears a bracket.
_BRACKETS: Final = r"\[\]\uff3b\uff3d\ufe47\ufe48"
_CHANGES: Final = re.compile(f"(?P<line>{_LINE_BREAK.pattern})|(?P<paragraph>\u2029)|[{INAUDIBLE}]+")
_MARKS: Final = re.compile(rf"(?P<bracket>[{_BRACKETS}])|[*_]{{1,3}}")
#: What may stand between a word and the mark that ends its emphasis.
_ENDS_OF_WORDS: Final = frozenset(".,!?;:…")

#: A character with what composition may join to it: everything that is no ASCII, up to the next that is.
_CLUSTER: Final = re.compile(r"[\x00-\x7f]?[^\x00-\x7f\s]{1,32}")

#: Han, kana and their punctuation, which are written without spaces: a line break between two of them is none.
UNSPACED: Final = "\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff9f\U00020000-\U0003ffff"
_JOINTS: Final = re.compile(rf"(?<=[{UNSPACED}])[ \t]*\n\s*(?=[{UNSPACED}])|(?<=\w-)\n\s*(?=\w)")
_SPACE: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class CleanText:
    """A text with inaudible characters taken out, and the way back."""

    text: str
    #: One map for each rewriting, the last one first.
    maps: tuple[OffsetMap, ...]
    #: What was marked in it, in order; two may stand at one position.
    marks: tuple[Mark, ...] = ()
    #: How often something was taken out that only looked like a mark.
    num_malformed_marks: int = 0

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span in the original of a span of the clean text, with what was taken out behind it.

        A span within words that one character was rewritten to still holds that character.
        """
        is_empty = start == end
        for offset_map in self.maps:
            start, end = offset_map.before(start), offset_map.before(end)
        return start, end if is_empty else max(end, start + 1)

    def after(self, positions: list[int]) -> list[int]:
        """Return where positions in the original are in the clean text."""
        for offset_map in reversed(self.maps):
            positions = offset_map.after(positions)
        return positions

    def rewritten(self, edits: Iterator[Edit]) -> CleanText:
        """Return the text with these edits made, none of which holds a mark."""
        text, offset_map = rewritten(self.text, edits)
        return replace(self, text=text, maps=(offset_map, *self.maps), marks=_moved(self.marks, offset_map))


def clean(text: str) -> CleanText:
    """Return the text composed (NFC), with one kind of line break, without controls, brackets and emphasis marks.

    Marks are taken out and become `marks`; what only looks like one is taken out and counted.
    """
    # In this order: a zero-width character must not hide what stands beside a bracket, marks are written in brackets,
    # and what is composed last cannot grow again when it is spoken.
    text, controls = rewritten(text, _edits(_CHANGES.finditer(text), _audible))
    found = list(find_markup(text))
    text, markup = rewritten(text, list(_removal(text, found)))
    positions = markup.after(one.start for one in found)
    cleaned = CleanText(
        text,
        (markup, controls) if found else (controls,),
        tuple(
            Mark(position, one.pause_s, one.voice)
            for position, one in zip(positions, found, strict=True)
            if not one.is_malformed
        ),
        sum(one.is_malformed for one in found),
    )
    cleaned = cleaned.rewritten(_edits(_MARKS.finditer(text), _without_mark))
    return cleaned if unicodedata.is_normalized("NFC", cleaned.text) else cleaned.rewritten(_composition(cleaned))


def _edits(matches: Iterable[re.Match[str]], replacement: Callable[[re.Match[str]], str]) -> Iterator[Edit]:
    return (Edit(match.start(), match.end(), replacement(match)) for match in matches)


def _moved(marks: tuple[Mark, ...], offset_map: OffsetMap) -> tuple[Mark, ...]:
    positions = offset_map.after(mark.position for mark in marks) if marks else []
    return tuple(replace(mark, position=position) for mark, position in zip(marks, positions, strict=True))


def _removal(text: str, found: list[Markup]) -> Iterator[Edit]:
    """Yield what takes marks out; of several side by side, a space stays for the last between two words."""
    run_start = 0
    for one, previous, following in zip(found, [None, *found], [*found[1:], None], strict=False):
        if previous is None or previous.end < one.start:
            run_start = one.start
        is_last = following is None or following.start > one.end
        joins_words = _is_of_word(text[run_start - 1 : run_start]) and _is_of_word(text[one.end : one.end + 1])
        yield Edit(one.start, one.end, " " if is_last and joins_words else "")


def _is_of_word(character: str) -> bool:
    return bool(character) and unicodedata.category(character)[0] in "LMN"


def _composition(cleaned: CleanText) -> Iterator[Edit]:
    """Yield what changes when the text is composed; nothing grows together over a mark."""
    start = 0
    for end in [*(mark.position for mark in cleaned.marks), len(cleaned.text)]:
        yield from _edits(_CLUSTER.finditer(cleaned.text, start, end), _composed)
        start = end


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
