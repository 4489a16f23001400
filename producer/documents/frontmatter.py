"""The front matter of a Markdown file: title, author and language, nothing else. Knows no Markdown."""

from __future__ import annotations

import re
from typing import Final

#: YAML between lines of dashes or TOML between lines of plus signs, at the very beginning.
_FRONT_MATTER: Final = re.compile(r"\A(?P<fence>---|\+\+\+)[ \t]*\n(?P<lines>(?:.*\n)*?)(?P=fence)[ \t]*(?:\n|\Z)")
#: `title: Alice`, `title = "Alice"`. Lists and nested values are passed over.
_FIELD: Final = re.compile(
    r"^(?P<name>title|author|lang|language)[ \t]*[:=][ \t]*(?P<value>[^\s\[{|>].*)$", re.MULTILINE
)
#: Front matter is short; a rule at the start of a text and another one in its middle are none.
_MAX_LINES: Final = 200


def read_front_matter(text: str) -> tuple[dict[str, str], str]:
    """Return the fields of the front matter, and the text with blank lines in its place."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    found = _FRONT_MATTER.match(text)
    if found is None or found["lines"].count("\n") > _MAX_LINES or not _is_front_matter(found["lines"]):
        return {}, text
    fields = {match["name"]: _unquoted(match["value"]) for match in _FIELD.finditer(found["lines"])}
    return fields, "\n" * found[0].count("\n") + text[found.end() :]


def _is_front_matter(lines: str) -> bool:
    """Say whether the first line is a field: a text may begin with a rule."""
    first = next((line for line in lines.splitlines() if line.strip()), "")
    return re.match(r"[\w.-]+[ \t]*[:=]|#", first) is not None


def _unquoted(value: str) -> str:
    value = value.strip()
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value
