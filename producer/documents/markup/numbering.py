"""What stands in front of the items of a list: bullets, numbers, letters. Knows nothing of texts."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import Final

from producer.documents.markup.events import Attributes

_BULLET: Final = "- "
_INTEGER: Final = re.compile(r"-?\d{1,6}")


@dataclass(slots=True)
class Numbering:
    """The list whose items are being read."""

    is_ordered: bool
    next_number: int = 1
    step: int = 1
    is_lettered: bool = False

    @classmethod
    def of(cls, name: str, attributes: Attributes) -> Numbering:
        """Return the numbering of a list that begins; a reversed one that does not say where counts upwards."""
        start = _integer(attributes.get("start"))
        is_reversed = "reversed" in attributes and start is not None
        return cls(
            is_ordered=name == "ol",
            next_number=1 if start is None else start,
            step=-1 if is_reversed else 1,
            is_lettered=attributes.get("type") in {"a", "A"},
        )

    def mark(self, attributes: Attributes) -> str:
        """Return what stands in front of the item that begins, and count it."""
        if not self.is_ordered:
            return _BULLET
        value = _integer(attributes.get("value"))
        number = self.next_number if value is None else value
        self.next_number = number + self.step
        if self.is_lettered and 1 <= number <= len(string.ascii_lowercase):
            return f"{string.ascii_lowercase[number - 1]}) "
        return f"{number}. "


def _integer(text: str | None) -> int | None:
    return int(text) if text and _INTEGER.fullmatch(text.strip()) else None
