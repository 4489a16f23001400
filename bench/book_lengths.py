"""Writes `book_lengths.json`: how long the segments of a public-domain book are, and nothing of its text.

    python examples/fetch_book.py out/alice.txt && python bench/book_lengths.py out/alice.txt

The sentences of the book, as our own splitter finds them, are put together in order up to `MAX_CHARS`. What a model
makes of a number of characters is taken from the log of another project's benchmark of the same model: 150 text tokens
and 389 speech tokens for a segment of about 228 characters, which is 15.6 s of speech.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Final

MAX_CHARS: Final = 300
TEXT_TOKENS_PER_CHAR: Final = 0.66
SPEECH_TOKENS_PER_CHAR: Final = 1.712

PATH: Final = Path(__file__).with_name("book_lengths.json")


def read_lengths() -> list[tuple[int, int]]:
    """Return the book's segments in order: text tokens, speech tokens."""
    return [(text, speech) for text, speech in json.loads(PATH.read_text())["segments"]]


def pack(num_chars: list[int], max_chars: int) -> list[int]:
    """Return the lengths of neighbouring sentences put together, none above `max_chars` that was not before."""
    packed: list[int] = []
    for length in num_chars:
        if packed and packed[-1] + 1 + length <= max_chars:
            packed[-1] += 1 + length
        else:
            packed.append(length)
    return packed


def main() -> None:
    """Split the book that the command line names and write the lengths."""
    from worker.text import split  # what reads the lengths does not need what splits sentences

    text = Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace")
    sentences = [len(segment.text) for segment in split(text, language="en", narration_id="lengths").segments]
    packed = pack(sentences, MAX_CHARS)
    segments = [(round(TEXT_TOKENS_PER_CHAR * n), round(SPEECH_TOKENS_PER_CHAR * n)) for n in packed]
    seconds = [speech / 25 for _, speech in segments]
    about = {
        "command": "python bench/book_lengths.py BOOK",
        "book": "the one that examples/fetch_book.py takes",
        "max_chars": MAX_CHARS,
        "mean_s": round(statistics.mean(seconds), 2),
        "shortest_s": min(seconds),
        "longest_s": max(seconds),
        "total_s": round(sum(seconds)),
    }
    PATH.write_text(json.dumps({**about, "segments": segments}, separators=(",", ":")) + "\n")
    sys.stdout.write(f"{len(segments)} segments, mean {about['mean_s']} s\n")


if __name__ == "__main__":
    main()
