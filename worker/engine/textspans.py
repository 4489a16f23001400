"""Which characters of a text each of its tokens stands for, found from the names of the tokens.

Tokenizers lower-case, decompose, respell and set marks of their own. Only letters and digits are compared, without
their marks: unless they are the same ones in the same order on both sides, nothing is said. So a text that became other
letters (Chinese, Japanese with Han characters) has no spans rather than wrong ones. Knows nothing of models.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def token_spans(names: Sequence[str], text: str) -> NDArray[np.int32] | None:
    """Return the spans of tokens in the text that they were made of, [T, 2] int32; None if they are not certain.

    Args:
        names: of each token, its characters; those of commands are in brackets (`[START]`, `[fr]`, `[SPACE]`).
        text: before anything was done to it.

    Returns:
        First character and the one behind the last. Of a token without letters and digits the two are the same: the
        place behind the last one that was said.
    """
    written = [(letter, place) for place, character in enumerate(text) for letter in _letters(character)]
    spelt = [(letter, token) for token, name in enumerate(names) for letter in _letters_of_token(name)]
    if [letter for letter, _ in written] != [letter for letter, _ in spelt]:
        return None
    places_of: dict[int, list[int]] = {}
    for (_, token), (_, place) in zip(spelt, written, strict=True):
        places_of.setdefault(token, []).append(place)
    spans = np.zeros((len(names), 2), np.int32)
    end = 0
    for token in range(len(names)):
        places = places_of.get(token)
        start, end = (places[0], places[-1] + 1) if places else (end, end)
        spans[token] = start, end
    return spans


def _letters_of_token(name: str) -> str:
    is_command = len(name) > 2 and name[0] == "[" and name[-1] == "]"
    return "" if is_command else "".join(_letters(character) for character in name)


@lru_cache(maxsize=8_192)
def _letters(character: str) -> str:
    """Return the letters and digits in a character, however it is composed and in whatever case it is."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    return "".join(letter for letter in folded if unicodedata.category(letter)[0] in "LN")
