"""A plain text file as a document of one chapter. Knows nothing of markup."""

from __future__ import annotations

import re
from typing import Final

from producer.documents.document import Chapter, Document, Origin

_LINE_BREAK: Final = re.compile(r"\r\n|\r|\n")
#: What stands between two paragraphs. Looks at nothing behind it: that would take quadratic time at the end of a file
#: that ends in blank lines.
_PARAGRAPH_BREAK: Final = re.compile(r"\n[^\S\n]*\n\s*")


def read_plain_text(text: str, name: str, title: str | None) -> Document:
    """Return a text as it is, but for its line ends; its chapters are found when it is split."""
    text = _LINE_BREAK.sub("\n", text)
    origins, line, done = [Origin(0, name, 1)], 1, 0
    for match in _PARAGRAPH_BREAK.finditer(text):
        line += text.count("\n", done, match.end())
        done = match.end()
        if done < len(text):
            origins.append(Origin(done, name, line))
    chapter = Chapter(title or name, text, tuple(origins))
    return Document(title=title, author=None, language=None, cover=None, chapters=(chapter,))
