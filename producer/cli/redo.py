"""The command `redo`: speak some segments of a finished narration once more."""

from __future__ import annotations

import re
from typing import Annotated, Final

import typer

from producer.cli import options, output
from producer.client import Client

_RANGE: Final = re.compile(r"([0-9]{1,7})(?:-([0-9]{1,7}))?")
#: Segments in one command; more than that is a new narration with another seed.
MAX_SEGMENTS: Final = 10_000


def redo(
    narration_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a finished narration.")],
    segments: Annotated[str, typer.Option(metavar="LIST", help="Which, as `review` numbers them: 12,40-44.")],
    text: Annotated[str | None, typer.Option(help="Say this instead; with one segment only.")] = None,
    json: options.Json = False,
) -> None:
    """Speak some segments once more, with another seed, and print the id of the narration that has the new takes.

    All other segments are those of before and are not spoken again. The narration that you name stays as it is.
    """
    del json
    indexes = parse_segments(segments)
    if text is not None and len(indexes) != 1:
        raise typer.BadParameter("--text goes with one segment")
    with Client() as client:
        job = client.redo(narration_id, dict.fromkeys(indexes, text))
    document = {"id": job.id, "redo_of": narration_id, "segments": indexes, "is_new": job.is_new}
    output.print_lines(document, [job.id])


def parse_segments(text: str) -> list[int]:
    """Return the numbers of a list such as `12,40-44`, ascending.

    Raises:
        typer.BadParameter: it is no such list.
    """
    indexes: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise typer.BadParameter(f"{part.strip()!r} is no segment and no range of segments, such as 12 or 40-44")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= MAX_SEGMENTS:
            raise typer.BadParameter(f"{part.strip()!r} is no range that ascends, of at most {MAX_SEGMENTS} segments")
        indexes.update(range(first, last + 1))
    if len(indexes) > MAX_SEGMENTS:
        raise typer.BadParameter(f"{len(indexes)} segments are more than {MAX_SEGMENTS}; narrate with another --seed")
    return sorted(indexes)
