"""Which headings begin a chapter, where no table of contents says so. Knows no file format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from producer.documents.blocks import Placed, one_line


def split_at_headings(placed: Sequence[Placed]) -> Iterator[tuple[str | None, Sequence[Placed]]]:
    """Yield the parts of a text with the heading that begins each; the first may have none.

    The level of the chapters is the highest one that occurs twice: a single heading above them is the book's title.
    That one stays with the first chapter if nothing stands between the two.
    """
    level = _chapter_level(placed)
    starts = [index for index, each in enumerate(placed) if each.block.level == level] if level else []
    if starts and all(each.block.level for each in placed[: starts[0]]):
        starts[0] = 0
    edges = [*sorted({0, *starts}), len(placed)]
    for start, end in pairwise(edges):
        part = placed[start:end]
        titles = [each for each in part if each.block.level == level] if level and start in starts else []
        yield (heading_text(titles[0]) if titles else None), part


def first_heading(placed: Sequence[Placed]) -> str | None:
    """Return the text of the first heading."""
    return next((heading_text(each) for each in placed if each.block.level), None)


def heading_text(placed: Placed) -> str:
    """Return a heading as one line."""
    return one_line(placed.block.text, separator=".")


def _chapter_level(placed: Sequence[Placed]) -> int:
    counts = Counter(each.block.level for each in placed if each.block.level)
    repeated = [level for level, count in counts.items() if count > 1]
    return min(repeated or counts, default=0)
