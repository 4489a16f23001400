"""Paragraphs, headings, list items and stanzas of a text. Knows nothing of sentences.

Hard-wrapped lines stay together in one block; whoever reads a block folds its line breaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from worker.text.chapters import is_chapter_line
from worker.text.clean import PARAGRAPH_BREAK
from worker.text.verse import is_verse


class BlockKind(Enum):
    """What a block is; it decides the pauses around it."""

    PARAGRAPH = auto()
    HEADING = auto()
    ITEM = auto()  #: an item of a list, or one speech of a dialogue written with dashes
    VERSE = auto()  #: lines that end where they end on purpose


@dataclass(frozen=True, slots=True)
class Block:
    """A span of the clean text without white space at its edges, and what it is."""

    start: int
    end: int
    kind: BlockKind


@dataclass(frozen=True, slots=True)
class _Line:
    """One line without the white space around it."""

    start: int
    end: int
    text: str
    is_indented: bool


#: Lines longer than this are not hard-wrapped: each one is a paragraph of its own.
_MAX_WRAPPED_CHARS: Final = 120
#: A line of its own that is no longer and does not end like a sentence is a heading.
_MAX_HEADING_CHARS: Final = 80
#: Marks that make a rule; fewer are dashes in prose.
_MIN_RULE_CHARS: Final = 3

_LINE: Final = re.compile(rf"(?P<line>[^\n{PARAGRAPH_BREAK}]*)(?P<end>[\n{PARAGRAPH_BREAK}]|\Z)")
_MARKDOWN_HEADING: Final = re.compile(r"#{1,6}[ \t]+")
_QUOTE: Final = re.compile(r"(?:>[ \t]*)+")
#: Stands between two parts (`* * *`, `-----`) or under a heading (`=====`).
_RULE: Final = re.compile(r"[\s=~*_#-]+")
#: A dash opens a speech in many languages; it stands right in front of a word or behind a space.
_BULLET: Final = re.compile(
    r"[-+*\u2022\u2023\u25aa\u25e6\u00b7\u2013\u2014\u2015][ \t]+|[\u2013\u2014\u2015](?=[\w\u00bf\u00a1])"
)
_NUMBER: Final = re.compile(r"(?:\d{1,3}[.)]|[a-z]\))[ \t]+(?=\S)")
#: Ends of sentences and clauses in the 23 languages, with closing quotes.
_SENTENCE_END: Final = re.compile(
    r"[.!?;:,\u2026\u3002\uff01\uff1f\uff61\u0964\u0965\u061f\u06d4\u061b\u060c\uff0c\u3001\uff1a\uff1b]"
    r"[\"'\u201c\u201d\u2018\u2019\u00ab\u00bb)\]\u300d\u300f\uff09]*$"
)


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a clean text in order; what lies between them is white space and marks of layout."""
    for group in _groups(text):
        yield from _blocks_of(group)


def _groups(text: str) -> Iterator[list[_Line]]:
    """Yield runs of lines with nothing blank between them."""
    group: list[_Line] = []
    for match in _LINE.finditer(text):
        line = _line(match["line"], match.start())
        if line.text:
            group.append(line)
        if group and (not line.text or match["end"] == PARAGRAPH_BREAK):
            yield group
            group = []
    if group:
        yield group


def _line(raw: str, start: int) -> _Line:
    body = raw.lstrip()
    if quote := _QUOTE.match(body):
        body = body[quote.end() :]
    start += len(raw) - len(body)
    body = body.rstrip()
    # An ideographic space or a tab in front is how books without blank lines begin a paragraph.
    return _Line(start, start + len(body), body, is_indented=raw.startswith(("\t", "\u3000")))


def _blocks_of(group: list[_Line]) -> Iterator[Block]:
    is_wrapped = max(len(line.text) for line in group) <= _MAX_WRAPPED_CHARS
    pending: list[_Line] = []
    kind = BlockKind.PARAGRAPH
    for number, line in enumerate(group):
        following = group[number + 1] if number + 1 < len(group) else None
        previous = group[number - 1] if number else None
        new_kind = _kind_of(line, previous, following, is_in_list=bool(pending) and kind is BlockKind.ITEM)
        goes_on = new_kind is None and not line.is_indented and (is_wrapped or _is_open(previous))
        if pending and (not goes_on or kind is BlockKind.HEADING):
            yield _block(pending, kind)
            pending = []
        if not pending:
            kind = new_kind or BlockKind.PARAGRAPH
        pending.append(_without_mark(line, kind) if not pending else line)
    yield _block(pending, kind)


def _block(lines: list[_Line], kind: BlockKind) -> Block:
    is_stanza = kind is BlockKind.PARAGRAPH and len(lines) > 1 and is_verse([line.text for line in lines])
    return Block(lines[0].start, lines[-1].end, BlockKind.VERSE if is_stanza else kind)


def _kind_of(line: _Line, previous: _Line | None, following: _Line | None, *, is_in_list: bool) -> BlockKind | None:
    """Return what begins with this line; None if it may go on with the block before."""
    if _MARKDOWN_HEADING.match(line.text) or (following is not None and _is_underline(following)):
        return BlockKind.HEADING
    if _is_rule(line):
        return BlockKind.PARAGRAPH
    is_short = len(line.text) <= _MAX_HEADING_CHARS
    if is_short and is_chapter_line(line.text):
        return BlockKind.HEADING
    if _BULLET.match(line.text):
        return BlockKind.ITEM
    is_alone = following is None and (previous is None or is_chapter_line(previous.text))
    if is_short and is_alone and not _SENTENCE_END.search(line.text):
        return BlockKind.HEADING
    # A wrapped line may begin with "1914. " by chance, so a number counts only where a list can begin or go on.
    can_begin = previous is None or is_in_list or _SENTENCE_END.search(previous.text) is not None
    return BlockKind.ITEM if can_begin and _NUMBER.match(line.text) else None


def _is_open(previous: _Line | None) -> bool:
    """Say whether a long line breaks off in the middle of a sentence."""
    return previous is not None and len(previous.text) > _MAX_HEADING_CHARS and not _SENTENCE_END.search(previous.text)


def _is_rule(line: _Line) -> bool:
    return len(line.text) >= _MIN_RULE_CHARS and _RULE.fullmatch(line.text) is not None


def _is_underline(line: _Line) -> bool:
    return len(line.text) >= _MIN_RULE_CHARS and not line.text.strip("=")


def _without_mark(line: _Line, kind: BlockKind) -> _Line:
    """Return the line without `#` or a bullet; numbers stay, they are spoken."""
    marks = {BlockKind.HEADING: _MARKDOWN_HEADING, BlockKind.ITEM: _BULLET}
    match = marks[kind].match(line.text) if kind in marks else None
    return replace(line, start=line.start + match.end()) if match else line
