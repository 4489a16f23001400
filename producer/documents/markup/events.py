"""The events that a markup document is told as. Knows no parser."""

from __future__ import annotations

from typing import Final, Protocol

from producer.documents.refusal import RefusedError

#: Elements inside of each other. Books have twenty; what has thousands is meant to break something.
MAX_DEPTH: Final = 500

Attributes = dict[str, str]


class Events(Protocol):
    """Takes in the elements and the text of a document, balanced and in order."""

    def start(self, name: str, attributes: Attributes, line: int) -> None:
        """Take the start of an element: local name in lower case, attributes as they are written."""

    def end(self, name: str) -> None:
        """Take the end of the element that was started last."""

    def text(self, text: str, line: int) -> None:
        """Take a piece of text; neighbouring pieces belong together."""


def local_name(name: str) -> str:
    """Return an element's name without its prefix, in lower case."""
    return name.rpartition(":")[2].lower()


def check_depth(depth: int) -> None:
    """Refuse what is nested too deep.

    Raises:
        RefusedError: `markup_broken`.
    """
    if depth > MAX_DEPTH:
        raise RefusedError("markup_broken", f"holds more than {MAX_DEPTH} elements inside of each other; no book does")
