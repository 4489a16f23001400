"""One page of an EPUB, read into blocks. Knows nothing of the other pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from producer.documents.blocks import Block, Placed
from producer.documents.markup import NotWellFormedError, decoded, read_html, read_xml
from producer.documents.markup.prose import ProseReader
from producer.documents.refusal import RefusedError

#: What makes a page a table of contents: that many links into the book, and so much of its text in them. A page of
#: prose has a tenth at most.
_MIN_LINKS: Final = 5
_MIN_LINKED_SHARE: Final = 0.75


@dataclass(frozen=True, slots=True)
class Page:
    """What one file of the spine says."""

    path: str
    #: The title in its head; often the book's.
    title: str
    blocks: tuple[Block, ...]
    #: It is a table of contents, or an index, by what is on it.
    is_contents: bool

    def placed(self) -> list[Placed]:
        """Return the blocks with the file that they are from."""
        return [Placed(block, self.path) for block in self.blocks]


def read_page(data: bytes, path: str) -> Page:
    """Return a page, well-formed or not.

    Raises:
        RefusedError: `markup_entities`, `markup_broken` or `text_encoding`, with the page's path.
    """
    try:
        reader = ProseReader()
        try:
            read_xml(data, reader)
        except NotWellFormedError:
            reader = ProseReader()
            read_html(decoded(data), reader)
    except RefusedError as error:
        raise RefusedError(error.code, f"{error.reason} (in {path!r})") from None
    blocks = tuple(reader.finish())
    num_chars = sum(len(block.text) for block in blocks)
    return Page(
        path=path,
        title=" ".join(reader.title.split()),
        blocks=blocks,
        is_contents=reader.num_links >= _MIN_LINKS and reader.num_linked_chars >= _MIN_LINKED_SHARE * num_chars,
    )
