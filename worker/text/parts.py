"""The pieces of every block of a text, with what follows each. Knows nothing of chapters, voices or spans."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from producer.contract.narration import is_speakable
from producer.contract.plan import Boundary
from worker.text.blocks import Block, BlockKind, blocks
from worker.text.clean import spoken
from worker.text.cues import Cues
from worker.text.pieces import Piece, pieces
from worker.text.sentences import sentence_ends
from worker.text.verse import with_breath

_WHITE_SPACE = re.compile(r"\s")
_LINE_END = re.compile(r"\n")


@dataclass(frozen=True, slots=True)
class Part:
    """A span of the clean text that is spoken at once."""

    start: int
    end: int
    #: What is spoken; empty if there is nothing to say, as in a row of stars.
    said: str
    boundary: Boundary


def parts(text: str, language: str, cues: Cues, *, start: int, end: int) -> list[Part]:
    """Return the parts of a span of the clean text, all of which can be spoken.

    Args:
        text: the clean text.
        language: one of our codes.
        cues: where a part has to end, whatever stands there.
        start: where the span begins.
        end: where it ends; nothing is joined over that.
    """
    return list(_without_unspeakable(_parts(text[start:end], language, cues, start)))


def _parts(text: str, language: str, cues: Cues, offset: int) -> Iterator[Part]:
    waiting: tuple[Block, list[Part]] | None = None
    for block in blocks(text):
        if waiting:
            yield from _with_last_boundary(waiting[1], _between(waiting[0], block))
        cuts = (cut - offset for cut in cues.cuts(block.start + offset, block.end + offset))
        waiting = block, [_moved(part, offset) for part in _parts_of(text, block, language, cuts)]
    if waiting:
        yield from _with_last_boundary(waiting[1], Boundary.END)


def _moved(part: Part, offset: int) -> Part:
    """Return the part moved by a number of characters."""
    return replace(part, start=part.start + offset, end=part.end + offset) if offset else part


def _parts_of(text: str, block: Block, language: str, cuts: Iterable[int]) -> list[Part]:
    """Return the parts of one block; a single one without words if there is nothing in it to say."""
    # As long as the block itself, so that positions stay; every kind of white space looks the same to the splitter.
    written = text[block.start : block.end]
    line = _WHITE_SPACE.sub(" ", written)
    found: list[Part] = []
    for piece in _pieces_of(written, line, block, language, [cut - block.start for cut in cuts]):
        said = written[piece.start : piece.end]
        boundary = Boundary.SENTENCE if piece.ends_sentence else Boundary.CLAUSE
        if is_speakable(said):
            start = block.start + piece.start + len(said) - len(said.lstrip())
            breathed = with_breath(said, language) if block.kind is BlockKind.VERSE else said
            found.append(Part(start, start + len(said.strip()), spoken(breathed), boundary))
        elif found and piece.ends_sentence:
            found[-1] = replace(found[-1], boundary=boundary)
    return found or [Part(block.start, block.end, "", Boundary.SENTENCE)]


def _pieces_of(written: str, line: str, block: Block, language: str, cuts: list[int]) -> list[Piece]:
    ends = [len(line)] if block.kind is BlockKind.HEADING else sentence_ends(line, language)
    line_ends = [match.end() for match in _LINE_END.finditer(written)] if block.kind is BlockKind.VERSE else []
    return pieces(line, ends, forced=cuts, line_ends=line_ends)


def _with_last_boundary(found: list[Part], boundary: Boundary) -> list[Part]:
    return [*found[:-1], replace(found[-1], boundary=boundary)]


def _between(block: Block, following: Block) -> Boundary:
    if BlockKind.HEADING in {block.kind, following.kind}:
        return Boundary.HEADING
    return Boundary.PARAGRAPH


def _without_unspeakable(found: Iterator[Part]) -> Iterator[Part]:
    """Yield the parts that can be spoken; a row of stars between two of them becomes a longer pause."""
    last: Part | None = None
    for part in found:
        if part.said:
            if last:
                yield last
            last = part
        elif last and last.boundary is not Boundary.HEADING:
            is_heading = part.boundary is Boundary.HEADING
            last = replace(last, boundary=Boundary.HEADING if is_heading else Boundary.PARAGRAPH)
    if last:
        yield last
