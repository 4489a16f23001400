"""The picture that goes into an audio file: the one that the user names, else the book's own.

Knows nothing of pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from producer.cli import output
from producer.cli.reading import Reading
from producer.client import Client
from producer.contract.errors import InvalidInputError
from producer.contract.narration import Narration
from producer.textfile import read_bytes

#: Bytes that are read of a file; the check that follows says how large a cover may be.
_MAX_READ_BYTES: Final = 64_000_000


@dataclass(frozen=True, slots=True)
class Cover:
    """A picture, and whether the user asked for it by name."""

    data: bytes
    is_asked_for: bool


def chosen_cover(path: Path | None, reading: Reading) -> Cover | None:
    """Return the cover of a narration, if it has one.

    Raises:
        UnreadableInputError: the file that the user names cannot be read.
    """
    if path is not None:
        return Cover(read_bytes(path, _MAX_READ_BYTES), is_asked_for=True)
    return None if reading.cover is None else Cover(reading.cover, is_asked_for=False)


def stored_cover(client: Client, cover: Cover | None) -> str | None:
    """Store a cover and return its hash; a book's own that cannot be used is left out, and said so.

    Raises:
        InvalidInputError: the one that the user asked for cannot be used.
    """
    if cover is None:
        return None
    try:
        return client.add_cover(cover.data)
    except InvalidInputError as error:
        if cover.is_asked_for:
            raise
        output.print_progress_note(f"warning: the book's cover is left out: {error}")
        return None


def with_cover(client: Client, narration: Narration, cover: Cover | None) -> Narration:
    """Return the narration with its cover, which is stored first."""
    return narration.model_copy(update={"cover": stored_cover(client, cover)}) if cover else narration
