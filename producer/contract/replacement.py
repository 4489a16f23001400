r"""What a rule says instead, with `\1` and `\g<name>` for what its groups found.

Read by ourselves, not by an engine of regular expressions, whose escapes could bring in any character. Knows nothing
of rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol, Self

_ESCAPE: Final = re.compile(
    r"\\(?:(?P<digit>[1-9])|g<(?P<name>[A-Za-z_]\w*|[1-9]\d?)>|(?P<backslash>\\)|(?P<other>.?))"
)


class Groups(Protocol):
    """What was found: a match of `re` or of `regex`."""

    def __getitem__(self, group: str | int, /) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Replacement:
    """Words and groups, in order."""

    #: A pair of words and of the group that follows them, by name or by number; None: none follows.
    parts: tuple[tuple[str, str | int | None], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the `to` of a regular expression.

        Raises:
            ValueError: naming an escape that is not understood.
        """
        parts: list[tuple[str, str | int | None]] = []
        words, position = "", 0
        for escape in _ESCAPE.finditer(text):
            words += text[position : escape.start()]
            position = escape.end()
            if escape["backslash"]:
                words += "\\"
                continue
            group = escape["digit"] or escape["name"]
            if group is None:
                raise ValueError(rf"{escape[0]} is not understood; \1, \g<name> and \\ are")
            parts.append((words, int(group) if group.isdecimal() else group))
            words = ""
        return cls((*parts, (words + text[position:], None)))

    def check(self, num_groups: int, names: set[str]) -> None:
        """Refuse a group that is not there.

        Raises:
            ValueError: naming it.
        """
        for _, group in self.parts:
            if isinstance(group, int) and group > num_groups:
                raise ValueError(f"there is no group {group}")
            if isinstance(group, str) and group not in names:
                raise ValueError(f"there is no group named {group!r}")

    def of(self, groups: Groups) -> str:
        """Return what is said; a group that found nothing adds nothing."""
        return "".join(words + ((groups[group] or "") if group is not None else "") for words, group in self.parts)
