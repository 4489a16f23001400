"""What the command line takes for a text: a book by its chapters, anything else as it is.

Knows nothing of what becomes of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from producer.cli.options import given
from producer.contract.narration import MAX_TITLE_CHARS
from producer.textfile import STANDARD_INPUT, read_text

#: Names of files that are read as documents.
_DOCUMENTS: Final = frozenset({".epub", ".md", ".markdown"})


def read_fields(name: str) -> dict[str, object]:
    """Return the text of a file, or of standard input for `-`, and the title and language that a document says.

    Raises:
        UnreadableInputError: see `producer.textfile.read_text` and docs/documents.md.
    """
    if name == STANDARD_INPUT or Path(name).suffix.lower() not in _DOCUMENTS:
        return {"text": read_text(name)}
    # Parsers, which no other command needs.
    from producer.documents import read_document

    document = read_document(name)
    title = document.title[:MAX_TITLE_CHARS] if document.title else None
    return {"text": document.text, **given(title=title, language=document.language)}
