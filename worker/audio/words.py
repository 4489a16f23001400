"""When the words of a take are said, as numbers beside its audio: what they look like, and how they are written down.

No text is in them: places of characters in what is spoken, and milliseconds. Knows nothing of how the times come about.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import numpy as np
import regex
from numpy.typing import NDArray

#: [num_words, 4] int32, in the order of the text: first character, the one behind the last, begin and end in
#: milliseconds of the take. Neither characters nor times of two words overlap.
Words = NDArray[np.int32]

NO_WORDS: Final[Words] = np.zeros((0, 4), np.int32)

#: The field of a take's comment that they are in: the differences of these numbers one after another, each word's four
#: behind those of the word before. A word takes some ten characters so.
FIELD: Final = "words"
#: Numbers in a field. A segment has at most 280 letters, which are 140 words of one letter.
MAX_NUMBERS: Final = 4 * 140

#: From a boundary of words (Unicode Standard Annex 29) that a letter or digit stands behind to the next one.
_WORD: Final = regex.compile(r"(?w)\b(?=\w).+?\b", regex.DOTALL)


def word_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the words of a text are, without underscores around them: those are emphasis."""
    for match in _WORD.finditer(text):
        word = match[0].rstrip("_")
        if stripped := word.lstrip("_"):
            yield match.start() + len(word) - len(stripped), match.start() + len(word)


def pack(words: Words) -> tuple[int, ...]:
    """Return words as the numbers of the field; none at all if they would take too much room."""
    if not 0 < words.size <= MAX_NUMBERS:
        return ()
    characters, times = (words[:, columns].ravel().tolist() for columns in (slice(0, 2), slice(2, 4)))
    steps = [_differences(numbers) for numbers in (characters, times)]
    return tuple(
        number
        for place in range(0, len(characters), 2)
        for number in (*steps[0][place : place + 2], *steps[1][place : place + 2])
    )


def unpack(numbers: tuple[int, ...]) -> Words:
    """Return the words that are in a field; none if the numbers cannot be those of words."""
    if not 0 < len(numbers) <= MAX_NUMBERS or len(numbers) % 4:
        return NO_WORDS
    steps = np.array(numbers, np.int64).reshape(-1, 2, 2)
    # Each word has a character and lasts a while; before it there may be nothing.
    if (steps < 0).any() or not steps[:, :, 1].all() or int(steps.sum()) > np.iinfo(np.int32).max:
        return NO_WORDS
    columns = [np.cumsum(steps[:, kind].ravel()).reshape(-1, 2) for kind in (0, 1)]
    return np.concatenate(columns, axis=1).astype(np.int32)


def words_in(comment: str | None) -> Words:
    """Return the words that the comment of a take's file tells of, whoever wrote the rest of it; else none."""
    try:
        fields = json.loads(comment or "null")
    except (ValueError, RecursionError):
        return NO_WORDS
    numbers = fields.get(FIELD) if isinstance(fields, dict) else None
    if not isinstance(numbers, list) or not all(type(number) is int and abs(number) < 2**31 for number in numbers):
        return NO_WORDS
    return unpack(tuple(numbers))


def _differences(numbers: list[int]) -> list[int]:
    return [number - before for before, number in zip([0, *numbers], numbers, strict=False)]
