"""A small XML document as a tree: package files, tables of contents. Knows nothing of what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from producer.documents.markup import Attributes, NotWellFormedError, decoded, read_html, read_xml
from producer.documents.refusal import RefusedError

#: Elements of one tree; the package file of a large book has some ten thousand.
_MAX_ELEMENTS: Final = 200_000
#: Elements inside of each other; below, a tree is walked by recursion.
_MAX_TREE_DEPTH: Final = 100


@dataclass(slots=True)
class Element:
    """An element: local name in lower case, attributes as written, what is in it in order."""

    name: str
    attributes: Attributes = field(default_factory=dict)
    content: list[Element | str] = field(default_factory=list)

    def elements(self, *names: str) -> Iterator[Element]:
        """Yield the elements right inside of this one, those of some names or all."""
        for child in self.content:
            if isinstance(child, Element) and (not names or child.name in names):
                yield child

    def all(self, *names: str) -> Iterator[Element]:
        """Yield every element of some names below this one, in the document's order."""
        for child in self.elements():
            if child.name in names:
                yield child
            yield from child.all(*names)

    def attribute(self, name: str) -> str | None:
        """Return an attribute by its local name."""
        for key, value in self.attributes.items():
            if key.rpartition(":")[2] == name:
                return value
        return None

    def text(self) -> str:
        """Return all text below this element, white space folded."""
        return " ".join("".join(self._pieces()).split())

    def _pieces(self) -> Iterator[str]:
        for child in self.content:
            if isinstance(child, str):
                yield child
            else:
                yield from child._pieces()


class _TreeBuilder:
    def __init__(self) -> None:
        self.root = Element("")
        self._open = [self.root]
        self._num_elements = 0

    def start(self, name: str, attributes: Attributes, line: int) -> None:
        del line
        self._num_elements += 1
        if self._num_elements > _MAX_ELEMENTS or len(self._open) > _MAX_TREE_DEPTH:
            raise RefusedError("markup_broken", "holds a package file or a table of contents that no book has")
        element = Element(name, attributes)
        self._open[-1].content.append(element)
        self._open.append(element)

    def end(self, name: str) -> None:
        del name
        self._open.pop()

    def text(self, text: str, line: int) -> None:
        del line
        self._open[-1].content.append(text)


def read_tree(data: bytes) -> Element:
    """Return a nameless element that holds the document, which may be XML or something like it.

    Raises:
        RefusedError: `markup_entities`, `markup_broken` or `text_encoding`.
    """
    builder = _TreeBuilder()
    try:
        read_xml(data, builder)
    except NotWellFormedError:
        builder = _TreeBuilder()
        read_html(decoded(data), builder)
    return builder.root
