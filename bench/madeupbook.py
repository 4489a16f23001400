"""Books that nobody wrote: English sentences out of word lists, the same for the same seed, no sentence twice.

As uneven as those of a novel: from a few words to some two hundred characters. No sentence comes twice, because what
was spoken once is taken from the cache of segments. Knows nothing of who reads them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

#: Characters read aloud in a second, pauses left out; what `lengthrig` makes of a character fits it.
CHARACTERS_PER_S: Final = 15.0


def _words(text: str) -> list[str]:
    return text.split()


_ADJECTIVES: Final = _words(
    "old quiet narrow bright heavy patient crooked silver distant hollow gentle rusty early bitter wooden pale sudden "
    "careful broken warm nameless northern green tall weary honest tangled clever idle frozen"
)
_NOUNS: Final = _words(
    "lamp harbour keeper letter bridge orchard clock river miller window sailor garden wheel lantern mountain baker "
    "station ladder valley teacher drawer kettle field doctor anchor cellar violin market shepherd candle stair boat"
)
_VERBS: Final = _words(
    "watched followed remembered carried found forgot mended crossed lifted counted painted answered waited measured "
    "opened believed shook hid left kept sold buried wanted heard"
)
_PLACES: Final = ("beside", "behind", "under", "beyond", "above", "near", "without", "after", "before", "across")
_LINKS: Final = (", and", ", but", ", while", ", because", "; still,", ", so", ", until", ", though")
_SAYINGS: Final = ("she said", "he said", "they asked", "the keeper said", "nobody answered", "I thought")

#: How many clauses a sentence has, and how often: some are a few words, some go on.
_NUM_CLAUSES: Final = (0, 1, 2, 3, 4)
_CLAUSE_WEIGHTS: Final = (2, 5, 5, 3, 1)
_SENTENCES_PER_PARAGRAPH: Final = (2, 7)
_PARAGRAPHS_PER_CHAPTER: Final = (12, 30)


def book(seed: int, *, num_characters: int) -> str:
    """Return a book of about so many characters: chapters with titles, paragraphs, a blank line between them."""
    rng = random.Random(seed)
    sentences = _sentences(rng)
    parts: list[str] = []
    length = 0
    chapter = 0
    while length < num_characters:
        chapter += 1
        parts.append(f"Book {seed}, chapter {chapter}: the {rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)}")
        for _ in range(rng.randint(*_PARAGRAPHS_PER_CHAPTER)):
            parts.append(" ".join(next(sentences) for _ in range(rng.randint(*_SENTENCES_PER_PARAGRAPH))))
            length += len(parts[-1])
            if length >= num_characters:
                break
    return "\n\n".join(parts) + "\n"


def lines(seed: int, *, lengths: list[int]) -> list[str]:
    """Return texts of exactly these numbers of characters; the last word of each may be cut off."""
    rng = random.Random(seed)
    sentences = _sentences(rng)
    made = []
    for length in lengths:
        text = next(sentences)
        while len(text) < length:
            text += " " + next(sentences)
        made.append(text[: length - 1].rstrip(" ,;:.").ljust(length - 1, "o") + ".")
    return made


def _sentences(rng: random.Random) -> Iterator[str]:
    """Yield sentences for ever, each a new one."""
    said: set[str] = set()
    while True:
        sentence = _sentence(rng)
        if sentence not in said:
            said.add(sentence)
            yield sentence


def _sentence(rng: random.Random) -> str:
    (num_clauses,) = rng.choices(_NUM_CLAUSES, _CLAUSE_WEIGHTS)
    if num_clauses == 0:
        noun, place, adjective = rng.choice(_NOUNS), rng.choice(_PLACES), rng.choice(_ADJECTIVES)
        said = rng.choice(_SAYINGS)
        return f"{said[0].upper()}{said[1:]} no {adjective} {noun} was {place} the {rng.choice(_NOUNS)}."
    sentence = _clause(rng)
    for _ in range(num_clauses - 1):
        sentence += f"{rng.choice(_LINKS)} {_clause(rng)}"
    return f"{sentence[0].upper()}{sentence[1:]}."


def _clause(rng: random.Random) -> str:
    subject, thing, place = (f"the {rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)}" for _ in range(3))
    clause = f"{subject} {rng.choice(_VERBS)} {thing}"
    return f"{clause} {rng.choice(_PLACES)} {place}" if rng.random() < 0.4 else clause
