"""The paragraphs, headings, lists and tables of a page, from its elements. Knows no files."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from producer.documents.blocks import HARD_BREAK, RULE, Block, folded, one_line
from producer.documents.markup.events import Attributes
from producer.documents.markup.leftout import is_left_out, is_note_mark
from producer.documents.markup.numbering import Numbering
from producer.documents.refusal import RefusedError

_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
#: What begins and ends a paragraph. Every element that is not listed is part of one.
_BLOCKS: Final = frozenset(
    """
    address article aside blockquote body caption center dd details div dl dt fieldset figcaption figure footer form
    header hgroup hr html legend li main ol optgroup option p pre section summary table tbody tfoot thead title ul
    book bodymatter frontmatter level level1 level2 level3 level4 level5 level6 line linegroup list poem rearmatter
    """.split()  # noqa: SIM905 - a list of words reads best as lines of text
) | frozenset(_HEADINGS)
_LISTS: Final = frozenset({"ol", "ul"})
_CELLS: Final = frozenset({"td", "th"})
_ROWS: Final = frozenset({"tr"})
_BREAKING: Final = _BLOCKS | _CELLS | _ROWS
#: Names for one place; one or two are usual, and a page made of nothing else must not fill the memory.
_MAX_ANCHORS: Final = 1_000
#: Paragraphs of one page. A long book has some 40,000, and each takes 200 bytes however short it is.
_MAX_BLOCKS: Final = 200_000
#: The quotation marks that a browser puts around the element.
_QUOTES: Final = ("\u201c", "\u201d")


@dataclass(slots=True)
class _Link:
    """A link into the book, which may be the number of a note."""

    #: How many pieces of text stood before it.
    num_before: int
    is_raised: bool
    #: It leads to a place in a page, not to a page.
    has_place: bool


@dataclass(slots=True)
class ProseReader:
    """Takes the events of one page and keeps its blocks."""

    blocks: list[Block] = field(default_factory=list)
    #: The page's own title, from its head.
    title: str = ""
    #: Links into the book that are read, and their characters.
    num_links: int = 0
    num_linked_chars: int = 0

    #: Elements that are open inside of one that is left out, that one included; 0 outside of any.
    _num_left_out: int = 0
    _is_title: bool = False
    _num_pre: int = 0
    _num_emitted: int = 0
    _num_raised: int = 0
    _level: int = 0
    _mark: str = ""
    _line: int = 0
    _pieces: list[str] = field(default_factory=list)
    _anchors: list[str] = field(default_factory=list)
    _lists: list[Numbering] = field(default_factory=list)
    _links: list[_Link | None] = field(default_factory=list)
    #: Cells of the rows that are open, one inside of the other, each with its blocks.
    _rows: list[list[list[Block]]] = field(default_factory=list)

    def start(self, name: str, attributes: Attributes, line: int) -> None:
        """Take the start of an element; what is left out keeps its name, as a table may point at a page number."""
        if name in _BREAKING and not self._num_left_out:
            self._flush()
        anchor = attributes.get("id") or (attributes.get("name") if name == "a" else None)
        if anchor and len(self._anchors) < _MAX_ANCHORS:
            self._anchors.append(anchor)
        if self._num_left_out:
            self._num_left_out += 1
            self._is_title = name == "title"
        elif is_left_out(name, attributes) or (name == "code" and self._num_pre):
            self._num_left_out = 1
        else:
            self._open(name, attributes, line)

    def _open(self, name: str, attributes: Attributes, line: int) -> None:
        if name in _HEADINGS:
            self._level = _HEADINGS[name]
        elif name in _LISTS:
            self._lists.append(Numbering.of(name, attributes))
        elif name == "li":
            self._mark = self._lists[-1].mark(attributes) if self._lists else "- "
        elif name in _ROWS:
            self._rows.append([])
        elif name in _CELLS and self._rows:
            self._rows[-1].append([])
        else:
            self._open_inline(name, attributes, line)

    def _open_inline(self, name: str, attributes: Attributes, line: int) -> None:
        if name == "br":
            self._pieces.append(HARD_BREAK)
        elif name == "hr":
            self._emit(Block(RULE, line))
        elif name == "pre":
            self._num_pre += 1
        elif name == "q":
            self._pieces.append(_QUOTES[0])
        elif name == "sup":
            self._raise()
        elif name == "a":
            self._open_link(attributes.get("href", ""))
        elif name == "img" and len(attributes.get("alt", "")) == 1:
            self.text(attributes["alt"], line)  # an initial that is drawn

    def _open_link(self, reference: str) -> None:
        is_inside = reference and "://" not in reference
        link = _Link(len(self._pieces), self._num_raised > 0, "#" in reference) if is_inside else None
        self._links.append(link)

    def _raise(self) -> None:
        self._num_raised += 1
        if self._links and (link := self._links[-1]):
            link.is_raised = True

    def end(self, name: str) -> None:
        """Take the end of an element."""
        if self._num_left_out:
            self._num_left_out -= 1
            self._is_title = False
            return
        if name in _BREAKING:
            self._flush()
        if name in _HEADINGS:
            self._level = 0
        elif name in _LISTS:
            self._lists.pop()
        elif name == "li":
            self._mark = ""
        elif name in _ROWS:
            self._end_row()
        elif name == "pre":
            self._num_pre -= 1
        elif name == "q":
            self._pieces.append(_QUOTES[1])
        elif name == "sup":
            self._num_raised -= 1
        elif name == "a":
            self._end_link()

    def text(self, text: str, line: int) -> None:
        """Take a piece of text."""
        if self._num_left_out:
            if self._is_title:
                self.title += text
            return
        if not self._line and (words := text.lstrip()):
            self._line = line + text.count("\n", 0, len(text) - len(words))
        # The mark for a line break is no character of XML; HTML may hold it.
        text = text.replace(HARD_BREAK, " ")
        self._pieces.append(text.replace("\n", HARD_BREAK) if self._num_pre else text)

    def finish(self) -> list[Block]:
        """Return the blocks of the page that has ended."""
        self._flush()
        while self._rows:
            self._end_row()
        return self.blocks

    def _flush(self) -> None:
        """End the block under way, if it has any text."""
        text = folded("".join(self._pieces))
        self._pieces.clear()
        self._links = [None] * len(self._links)
        line, self._line = self._line, 0
        if not text:
            return
        anchors, self._anchors = tuple(self._anchors), []
        mark, self._mark = self._mark, ""
        if mark:
            text = one_line(text, separator=",")
        self._emit(Block(text, line, self._level, mark if not self._level else "", anchors))

    def _emit(self, block: Block) -> None:
        self._num_emitted += 1
        if self._num_emitted > _MAX_BLOCKS:
            raise RefusedError("markup_broken", f"holds a page of more than {_MAX_BLOCKS} paragraphs; no book does")
        if self._rows and self._rows[-1]:
            self._rows[-1][-1].append(block)
        else:
            self.blocks.append(block)

    def _end_row(self) -> None:
        """Make one line of a row of words, and leave a row alone that only arranges a page."""
        if not self._rows:
            return
        cells = [cell for cell in self._rows.pop() if cell]
        is_data = len(cells) > 1 and all(len(cell) == 1 and not cell[0].level for cell in cells)
        if not is_data:
            for cell in cells:
                for block in cell:
                    self._emit(block)
            return
        first = cells[0][0]
        text = one_line("\n".join(cell[0].mark + cell[0].text for cell in cells), separator=",")
        anchors = tuple(anchor for cell in cells for anchor in cell[0].anchors)
        self._emit(replace(first, text=text, mark="- ", anchors=anchors))

    def _end_link(self) -> None:
        link = self._links.pop() if self._links else None
        if link is None:
            return
        text = "".join(self._pieces[link.num_before :])
        # A heading may be a number, and a link back to the table of contents.
        if link.has_place and not self._level and is_note_mark(text, is_raised=link.is_raised):
            del self._pieces[link.num_before :]
        else:
            self.num_links += 1
            self.num_linked_chars += len(text.strip())
