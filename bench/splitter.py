"""How fast a text is split, how full its segments are, and what an edit costs: `python -m bench.splitter [BOOK]`.

BOOK: a text file, as `examples/fetch_book.py` takes one; without it, the example chapter a few times over. Time: CPU of
one core, the best of a few. Seconds of speech: at 15 characters a second.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.record import ROOT, write_result
from worker.text import split
from worker.text.blocks import BlockKind, blocks
from worker.text.clean import clean
from worker.text.measure import units
from worker.text.sentences import sentence_ends

CHAPTER = ROOT / "examples" / "texts" / "the-lamp-at-hollow-point.txt"
CHARS_PER_S = 15.0
REPEATS = 5
NUM_EDITS = 1_000


def main() -> None:
    """Measure, print and record."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else CHAPTER
    text = path.read_text("utf-8", errors="replace") * (1 if len(sys.argv) > 1 else 8)
    speed = throughput_mb_per_s(text)
    lengths = [units(segment.text) for segment in split(text, language="en", narration_id="n").segments]
    seconds = sorted(length / CHARS_PER_S for length in lengths)
    sentences = [units(sentence) for paragraph in paragraphs(text) for sentence in paragraph]
    result = {
        "command": "python -m bench.splitter BOOK",
        "num_chars": len(text),
        "mb_per_s": round(speed, 2),
        "num_sentences": len(sentences),
        "sentence_units": {"mean": round(statistics.mean(sentences), 1), "median": statistics.median(sentences)},
        "num_segments": len(lengths),
        "segment_units": {"mean": round(statistics.mean(lengths), 1), "median": statistics.median(lengths)},
        "segment_s": {"mean": round(statistics.mean(seconds), 2)}
        | {f"p{share}": round(seconds[len(seconds) * share // 100], 2) for share in (5, 25, 50, 75, 95)},
        "segments_changed_by_an_edit": edits(text),
    }
    written = write_result("splitter", result)
    print({name: result[name] for name in list(result)[1:]}, written)


def throughput_mb_per_s(text: str) -> float:
    """Return how many megabytes of UTF-8 are split in a second."""
    spent_s = []
    for _ in range(REPEATS):
        begun_s = time.process_time()
        split(text, language="en", narration_id="n")
        spent_s.append(time.process_time() - begun_s)
    return len(text.encode()) / 1e6 / min(spent_s)


def paragraphs(text: str) -> list[list[str]]:
    """Return the sentences of each paragraph."""
    cleaned = clean(text).text
    found = []
    for block in blocks(cleaned):
        line = " ".join(cleaned[block.start : block.end].split())
        ends = [len(line)] if block.kind is BlockKind.HEADING else sentence_ends(line, "en")
        sentences = [line[start:end].strip() for start, end in zip([0, *ends], ends, strict=False)]
        found.append([sentence for sentence in sentences if sentence])
    return [sentences for sentences in found if sentences]


def edits(text: str) -> dict[str, Any]:
    """Return how many segments are new after one sentence was replaced, inserted or deleted, over many edits."""
    numbers = random.Random(1)
    every = paragraphs(text)
    costs: Counter[int] = Counter()
    for _ in range(NUM_EDITS):
        before = numbers.choice(every)
        place = numbers.randrange(len(before))
        new = numbers.choice(numbers.choice(every)) + " changed."
        middle = numbers.choice(([], [new], [new, before[place]]))
        after = [*before[:place], *middle, *before[place + 1 :]]
        costs[sum((Counter(_spoken(after)) - Counter(_spoken(before))).values())] += 1
    share = sum(times for cost, times in costs.items() if cost <= 3) / NUM_EDITS
    return {"num_edits": NUM_EDITS, "times": dict(sorted(costs.items())), "share_of_three_at_most": share}


def _spoken(sentences: list[str]) -> list[str]:
    return [segment.text for segment in split(" ".join(sentences), language="en", narration_id="n").segments]


if __name__ == "__main__":
    main()
