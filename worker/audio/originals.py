"""Which words of the original text the spoken ones are, where they are the same; figures and respelt names are not.

Knows nothing of times, nor of how a text was rewritten: a plan keeps only what came of it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from producer.contract.markup import find_markup
from worker.audio.words import word_spans

Span = tuple[int, int]


def original_spans(spoken: str, original: str) -> dict[Span, Span]:
    """Return where the words of a spoken text are in the original one, as far as there is no doubt.

    What became of a single word is at its place: with "24" between two words that are certain, so are "twenty" and
    "four" between them.

    Args:
        spoken: a segment's text.
        original: the same span of the narration's text; marks in it are passed over.
    """
    marks = [(mark.start, mark.end) for mark in find_markup(original)]
    ours = list(word_spans(spoken))
    theirs = [span for span in word_spans(original) if not any(_overlap(span, mark) for mark in marks)]
    pairs = certain_pairs(_keys(spoken, ours), _keys(original, theirs))
    found = {ours[one]: theirs[other] for one, other in pairs}
    for before, after in pairwise([(-1, -1), *pairs, (len(ours), len(theirs))]):
        if after[1] - before[1] == 2:  # one word of the original lies between them
            found.update((span, theirs[before[1] + 1]) for span in ours[before[0] + 1 : after[0]])
    return found


def certain_pairs(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs of places of equal words that every longest common subsequence of two texts has, ascending.

    With "1 one" spoken as "one one", either could be the second word of the original: neither is in a pair.
    """
    if ours == theirs:
        return [(place, place) for place in range(len(ours))]
    before = _common_lengths(ours, theirs)
    behind = [row[::-1] for row in _common_lengths(ours[::-1], theirs[::-1])][::-1]
    longest = before[-1][-1]
    # By how many pairs stand before it in such a subsequence, each of which has one pair of every rank.
    ranks: dict[int, list[tuple[int, int]]] = {}
    for one, word in enumerate(ours):
        for other, their_word in enumerate(theirs):
            if word == their_word and before[one][other] + 1 + behind[one + 1][other + 1] == longest:
                ranks.setdefault(before[one][other], []).append((one, other))
    return [ranks[rank][0] for rank in range(longest) if len(ranks[rank]) == 1]


def _common_lengths(ours: Sequence[str], theirs: Sequence[str]) -> list[list[int]]:
    """Return how many words the first so many of ours and the first so many of theirs have in common, in order."""
    rows = [[0] * (len(theirs) + 1)]
    for word in ours:
        above, row = rows[-1], [0]
        for place, their_word in enumerate(theirs):
            row.append(above[place] + 1 if word == their_word else max(above[place + 1], row[place]))
        rows.append(row)
    return rows


def _keys(text: str, spans: Iterable[Span]) -> list[str]:
    """Return words by what they are compared by: letters and digits, whatever their case and composition."""
    return ["".join(_letters(text[start:end])) for start, end in spans]


def _letters(word: str) -> Iterator[str]:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold())
    return (character for character in folded if unicodedata.category(character)[0] in "LMN")


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]
