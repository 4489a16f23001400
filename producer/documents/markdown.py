"""A Markdown file as a document, parsed as CommonMark with tables. Knows nothing of books.

`markdown-it-py` parses. It comes with `rich`, which prints our command line's tables, and has no dependency of weight.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from producer.contract.narration import is_speakable
from producer.documents.blocks import HARD_BREAK, RULE, Block, Placed, chapter, folded, one_line
from producer.documents.document import Document
from producer.documents.footnotes import add_footnotes
from producer.documents.frontmatter import read_front_matter
from producer.documents.headings import first_heading, split_at_headings
from producer.documents.language import language_of
from producer.documents.markup import ProseReader, read_html
from producer.documents.refusal import RefusedError

#: Quotes and lists inside of each other. The parser drops what is deeper without a word, so we refuse it.
_MAX_DEPTH: Final = 80
#: Marks in one paragraph. Brackets that pair with nothing take a time that grows with the square of their number:
#: 40,000 took 12 s, these take 30 ms.
_MAX_MARKS: Final = 2_000
_MARK: Final = re.compile(r"[\[*_`<&]")
#: Marks and lines of a whole text, for the memory of the parser: a line or a pair of marks takes some 2 kB.
_MAX_ALL_MARKS: Final = 300_000
_MAX_LINES: Final = 200_000
#: Columns of a table, for the time that they take.
_MAX_COLUMNS: Final = 1_000

#: What Pandoc writes behind a heading: `{#name .class}`.
_ATTRIBUTES: Final = re.compile(r"\s*\{[#.][^{}]*\}$")
_BREAK_TAG: Final = re.compile(r"<br\b", re.IGNORECASE)


def read_markdown(text: str, name: str) -> Document:
    """Return a Markdown text as a document whose chapters begin at its headings.

    Raises:
        RefusedError: `text_unspeakable`, or `markdown_markup` and `markup_broken` if it is built to break its reader.
    """
    front, body = read_front_matter(text)
    if any(line.count("|") > _MAX_COLUMNS for line in body.splitlines()):
        raise RefusedError("markdown_markup", f"holds a table of more than {_MAX_COLUMNS} columns")
    if body.count("\n") > _MAX_LINES:
        raise RefusedError("markdown_markup", f"has more than {_MAX_LINES} lines")
    tokens = _parser().parse(body)
    if any(token.level >= _MAX_DEPTH - 1 for token in tokens):
        raise RefusedError("markdown_markup", f"holds more than {_MAX_DEPTH} quotes or lists inside of each other")
    reader = _BlockReader()
    placed = [Placed(block, name) for token in tokens for block in reader.read(token)]
    if not any(is_speakable(each.block.text) for each in placed):
        raise RefusedError("text_unspeakable", "holds no letter and no digit to read: code and comments are left out")
    stem = name.rpartition(".")[0] or name
    title = front.get("title") or _title(placed)
    return Document(
        title=title or stem,
        author=front.get("author"),
        language=language_of(front.get("lang") or front.get("language")),
        cover=None,
        chapters=tuple(
            chapter(heading or first_heading(part) or title or stem, part)
            for heading, part in split_at_headings(placed)
            if part
        ),
    )


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"maxNesting": _MAX_DEPTH}).enable(["table", "strikethrough"])
    parser.core.ruler.before("inline", "count_marks", _count_marks)
    add_footnotes(parser)
    return parser


def _count_marks(state: StateCore) -> None:
    counts = [len(_MARK.findall(token.content)) for token in state.tokens if token.type == "inline"]
    if max(counts, default=0) > _MAX_MARKS:
        raise RefusedError("markdown_markup", f"holds a paragraph with more than {_MAX_MARKS} marks in it")
    if sum(counts) > _MAX_ALL_MARKS:
        raise RefusedError("markdown_markup", f"holds more than {_MAX_ALL_MARKS} marks; is it text?")


def _title(placed: Sequence[Placed]) -> str | None:
    """Return the heading of the first level, if it is the only one."""
    headings = [each for each in placed if each.block.level == 1]
    return first_heading(headings) if len(headings) == 1 else None


class _BlockReader:
    """Takes the tokens of a text in order and gives its blocks."""

    def __init__(self) -> None:
        self._is_ordered: list[bool] = []
        self._mark = ""
        self._level = 0
        self._cells: list[str] | None = None
        self._line = 1

    def read(self, token: Token) -> Iterator[Block]:
        """Yield the blocks that a token ends.

        Fenced code is left out. Indented lines are code for CommonMark too, but are read: so is verse indented.
        """
        if token.map:
            self._line = token.map[0] + 1
        match token.type:
            case "inline":
                yield from self._text(folded("".join(_pieces(token.children or []))))
            case "hr":
                yield Block(RULE, self._line)
            case "code_block":
                yield from self._text(folded(token.content.strip("\n").replace("\n", HARD_BREAK)))
            case "html_block":
                yield from _html_blocks(token.content, self._line)
            case "heading_open":
                self._level = int(token.tag.removeprefix("h"))
            case "heading_close":
                self._level = 0
            case _:
                yield from self._list_or_table(token)

    def _list_or_table(self, token: Token) -> Iterator[Block]:
        match token.type:
            case "ordered_list_open" | "bullet_list_open":
                self._is_ordered.append(token.type == "ordered_list_open")
            case "ordered_list_close" | "bullet_list_close":
                self._is_ordered.pop()
            case "list_item_open":
                self._mark = f"{token.info}. " if self._is_ordered[-1] else "- "
            case "list_item_close":
                self._mark = ""
            case "tr_open":
                self._cells = []
            case "tr_close" if self._cells is not None:
                row, self._cells = one_line("\n".join(self._cells), separator=","), None
                if row:
                    yield Block(row, self._line, mark="- ")

    def _text(self, text: str) -> Iterator[Block]:
        if not text:
            return
        if self._cells is not None:
            self._cells.append(text)
            return
        if self._level:
            text = _ATTRIBUTES.sub("", text)
        mark, self._mark = ("", self._mark) if self._level else (self._mark, "")
        yield Block(one_line(text, separator=",") if mark else text, self._line, self._level, mark)


def _pieces(tokens: Sequence[Token]) -> Iterator[str]:
    """Yield the text of a paragraph: links as their text, pictures and tags as nothing."""
    for token in tokens:
        if token.type in {"text", "code_inline", "text_special"}:
            yield token.content
        elif token.type == "softbreak":
            yield "\n"
        elif token.type == "hardbreak" or (token.type == "html_inline" and _BREAK_TAG.match(token.content)):
            yield HARD_BREAK


def _html_blocks(html: str, line: int) -> Iterator[Block]:
    reader = ProseReader()
    read_html(html, reader)
    for block in reader.finish():
        yield replace(block, line=block.line + line - 1)
