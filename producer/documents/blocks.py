"""Paragraphs, headings and list items on their way into the text of a chapter. Knows no file format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from producer.documents.document import Chapter, Origin

#: What a heading may end with so that nothing needs to be put between it and a second line.
_MARK_AT_END: Final = re.compile(r"[.!?:;,\u2026\u3002\uff01\uff1f\u2013\u2014-]$")
#: A line break of a cell or a heading, which have to be one line.
_BREAK: Final = re.compile(r"\s*\n\s*")
#: Han, kana and their punctuation, which are written without spaces: a line break between two of them is none.
_UNSPACED: Final = "\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff9f\U00020000-\U0003ffff"
_JOINT: Final = re.compile(rf"(?<=[{_UNSPACED}])[ \t]*\n[ \t\n]*(?=[{_UNSPACED}])")
_SPACE: Final = re.compile(r"[ \t\n\r\f]+")
_LINE_BREAK: Final = re.compile(" *\v *")

#: Stands for a line break that is meant, until the others are folded. It cannot occur in XML.
HARD_BREAK: Final = "\v"
#: What stands for a rule between two scenes; the text splitter makes a pause of it.
RULE: Final = "* * *"
#: Characters of a chapter's title; what is longer is no title.
MAX_TITLE_CHARS: Final = 500
_SOFT_HYPHEN: Final = "\u00ad"


@dataclass(frozen=True, slots=True)
class Block:
    """One paragraph, heading or list item."""

    #: Lines of verse are separated by a line break.
    text: str
    #: Where it begins in its file, from 1.
    line: int
    #: 1 to 6 for a heading, else 0.
    level: int = 0
    #: What stands in front of a list item: `- `, `1. `.
    mark: str = ""
    #: Names by which a table of contents can point at it.
    anchors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A block and the file that it was found in."""

    block: Block
    file: str


def folded(text: str) -> str:
    """Return running text with white space folded, meant line breaks kept, soft hyphens gone."""
    text = _JOINT.sub("", text.replace(_SOFT_HYPHEN, ""))
    return _LINE_BREAK.sub("\n", _SPACE.sub(" ", text)).strip()


def one_line(text: str, *, separator: str) -> str:
    """Return several lines as one, with a separator after each that does not end in a mark of its own."""
    lines = _BREAK.split(text)
    ended = [line if _MARK_AT_END.search(line) else line + separator for line in lines[:-1]]
    return " ".join([*ended, lines[-1]])


def chapter(title: str, placed: Sequence[Placed]) -> Chapter:
    """Return the chapter that a row of blocks makes."""
    pieces: list[str] = []
    origins: list[Origin] = []
    length = 0
    previous: Block | None = None
    for each in placed:
        block = each.block
        if previous is not None:
            # Items of a list stay together, so that a number alone is not taken for a heading.
            pieces.append("\n" if block.mark and previous.mark else "\n\n")
            length += len(pieces[-1])
        origins.append(Origin(length, each.file, block.line))
        pieces.append(_written(block))
        length += len(pieces[-1])
        previous = block
    return Chapter(title[:MAX_TITLE_CHARS], "".join(pieces), tuple(origins))


def _written(block: Block) -> str:
    if block.level:
        return "#" * block.level + " " + one_line(block.text, separator=".")
    return block.mark + block.text
