"""From where a model's attention is in a text, part by part of a take, to when each of its words is said.

Knows nothing of models or files. How well the attention follows what is heard nobody has measured here; what is done
about its wavering is to take the steady course that is nearest to it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from heapq import heappush, heapreplace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.audio.words import NO_WORDS, Words, word_spans
from worker.engine.request import Take

#: Text tokens that may be left when the speech ends: the stop token, a mark and its space, and the last word, whose end
#: is spoken while attention is still at its beginning. If more are left, attention has lost the text on the way.
_MOST_LEFT: Final = 8


def words_of(take: Take, text: str) -> Words:
    """Return when the words of a new take of this text are said; none if its engine does not know."""
    if take.text_positions is None or take.text_spans is None:
        return NO_WORDS
    return word_times(text, take.text_positions, take.text_spans, 1_000 * len(take.pcm) / take.sample_rate_hz)


def word_times(
    text: str, text_positions: NDArray[np.integer], text_spans: NDArray[np.integer], duration_ms: float
) -> Words:
    """Return when the words of a take are said; words that attention has passed over have no times.

    Args:
        text: what is spoken.
        text_positions: [num_parts], of each part of the take, all of them equally long, a token of the text.
        text_spans: [num_text_tokens, 2], of each token its characters in the text; empty for what is not said.
        duration_ms: of the whole take.

    Returns:
        None at all if attention did not get to the end of the text.
    """
    num_parts, num_tokens = len(text_positions), len(text_spans)
    steady = steady_course(text_positions.tolist())
    if not steady or steady[0] < 0 or not num_tokens - 1 - _MOST_LEFT <= steady[-1] < num_tokens:
        return NO_WORDS
    spans = list(word_spans(text))
    word_of_token = _words_of_tokens(text_spans.tolist(), spans)
    # Of each word, the first part and the one behind the last.
    parts: dict[int, tuple[int, int]] = {}
    for part, token in enumerate(steady):
        word = word_of_token[token]
        if word is not None:
            parts[word] = (parts.get(word, (part,))[0], part + 1)
    times = [
        (*spans[word], round(first * duration_ms / num_parts), round(end * duration_ms / num_parts))
        for word, (first, end) in parts.items()
    ]
    return np.array([entry for entry in times if entry[2] < entry[3]], np.int32).reshape(-1, 4)


def steady_course(positions: Sequence[int]) -> list[int]:
    """Return numbers that never fall and are as near to these as can be, in the sum of absolute differences.

    Isotonic regression in L1, which a few outliers do not move, as they do not move a median: the median of each run
    is found with a heap (Rote 2019, "Isotonic regression by dynamic programming", SOSA).
    """
    highest: list[int] = []
    tops = []
    for position in positions:
        heappush(highest, -position)
        if -highest[0] > position:
            heapreplace(highest, -position)
        tops.append(-highest[0])
    steady = tops[-1:]
    for top in reversed(tops[:-1]):
        steady.append(min(top, steady[-1]))
    return steady[::-1]


def _words_of_tokens(tokens: Sequence[Sequence[int]], words: Sequence[tuple[int, int]]) -> list[int | None]:
    """Return of each token the number of the word that it is a part of; marks inside of a word belong to it."""
    starts = [start for start, _ in words]
    found: list[int | None] = []
    for start, end in tokens:
        # What has no character of its own stands behind one.
        word = bisect_right(starts, start if end > start else start - 1) - 1
        found.append(word if word >= 0 and start < words[word][1] else None)
    return found
