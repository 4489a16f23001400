"""A text into the plan of its narration. Knows nothing of what becomes of the plan.

The same text gives the same plan on every machine and in every process: whoever plans again after a crash finds
the segments that were spoken before.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from producer.contract.narration import is_speakable
from producer.contract.plan import Boundary, Plan, Segment
from worker.text.blocks import Block, BlockKind, blocks
from worker.text.clean import CleanText, clean, spoken
from worker.text.pieces import pieces
from worker.text.sentences import sentence_ends

_WHITE_SPACE = re.compile(r"\s")


@dataclass(frozen=True, slots=True)
class _Part:
    """A span of the clean text and what follows it."""

    start: int
    end: int
    boundary: Boundary
    is_speakable: bool


def split(text: str, *, language: str, narration_id: str) -> Plan:
    """Return the plan of a text; it has no segments if the text holds no letter and no digit.

    Args:
        text: anything; characters that nobody can hear are passed over.
        language: one of our codes; decides what ends a sentence.
        narration_id: whose plan it is.
    """
    cleaned = clean(text)
    parts = list(_without_unspeakable(_parts(cleaned.text, language)))
    return Plan(
        narration_id=narration_id,
        text_sha256=hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest(),
        num_chars=len(text),
        segments=tuple(_segment(index, part, cleaned, len(parts)) for index, part in enumerate(parts)),
    )


def _segment(index: int, part: _Part, cleaned: CleanText, num_segments: int) -> Segment:
    start, end = cleaned.span(part.start, part.end)
    return Segment(
        index=index,
        text=spoken(cleaned.text[part.start : part.end]),
        start=start,
        end=end,
        boundary=Boundary.END if index == num_segments - 1 else part.boundary,
    )


def _parts(text: str, language: str) -> Iterator[_Part]:
    """Yield the pieces of every block, with what follows them."""
    waiting: tuple[Block, list[_Part]] | None = None
    for block in blocks(text):
        if waiting:
            yield from _with_last_boundary(waiting[1], _between(waiting[0], block))
        waiting = block, list(_parts_of(text, block, language))
    if waiting:
        yield from _with_last_boundary(waiting[1], Boundary.END)


def _parts_of(text: str, block: Block, language: str) -> Iterator[_Part]:
    # As long as the block itself, so that positions stay; every kind of white space looks the same to the detector.
    line = _WHITE_SPACE.sub(" ", text[block.start : block.end])
    ends = [len(line)] if block.kind is BlockKind.HEADING else sentence_ends(line, language)
    for piece in pieces(line, ends):
        said = line[piece.start : piece.end]
        start = block.start + piece.start + len(said) - len(said.lstrip())
        yield _Part(
            start=start,
            end=start + len(said.strip()),
            boundary=Boundary.SENTENCE if piece.ends_sentence else Boundary.CLAUSE,
            is_speakable=is_speakable(said),
        )


def _with_last_boundary(parts: list[_Part], boundary: Boundary) -> list[_Part]:
    return [*parts[:-1], replace(parts[-1], boundary=boundary)] if parts else parts


def _between(block: Block, following: Block) -> Boundary:
    if BlockKind.HEADING in {block.kind, following.kind}:
        return Boundary.HEADING
    return Boundary.PARAGRAPH


def _without_unspeakable(parts: Iterator[_Part]) -> Iterator[_Part]:
    """Yield the parts that can be spoken; a row of stars between two of them becomes a longer pause."""
    last: _Part | None = None
    for part in parts:
        if part.is_speakable:
            if last:
                yield last
            last = part
        elif last and last.boundary is not Boundary.HEADING:
            is_heading = part.boundary is Boundary.HEADING
            last = replace(last, boundary=Boundary.HEADING if is_heading else Boundary.PARAGRAPH)
    if last:
        yield last
