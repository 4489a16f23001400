"""Sentences that nobody wrote, of many shapes and lengths, the same for the same seed.

Short answers, questions, speech in quotes, lists, numbers, names and long periods; what comes twice within one
sentence comes twice on purpose. Two vocabularies that share no noun or verb, so that what was tuned on one is tried on
words never seen. Knows nothing of who reads them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final

#: Vocabulary -> part of speech -> words.
_WORDS: Final[Mapping[str, Mapping[str, list[str]]]] = {
    part: {name: words.split() for name, words in lists.items()}
    for part, lists in {
        "tuning": {
            "noun": "harbour lantern sparrow gardener bicycle thunder blanket whistle chimney cathedral "
            "neighbour acorn biscuit ferry grandfather hammer ink jacket kite ladder mushroom needle oyster "
            "pillow quarry rope shelf tailor umbrella violin wagon yard",
            "verb": "borrowed chased described emptied folded gathered hummed imagined joined knocked loosened "
            "measured noticed opposed polished questioned repaired scratched trusted unlocked visited whispered",
            "adjective": "awkward brittle cheerful dusty eager faint generous hollow icy jagged kind lonely muddy "
            "narrow obvious purple quick rough sudden tired uneven warm yellow",
            "name": "Agnes Bertram Clara Duncan Esther Felix Greta Hugo Irene Jasper",
        },
        "report": {
            "noun": "avalanche barrel compass dragonfly envelope furnace goose hedgehog island journal kettle lobster "
            "mirror nephew orchestra parcel quilt rudder saddle telescope uncle valley weaver axle beacon copper "
            "doorway echo fountain glacier hinge judge",
            "verb": "admired balanced collected dropped escaped fastened greeted hated ignored judged kissed launched "
            "managed nudged ordered pushed quoted rescued shovelled tasted upset wrapped",
            "adjective": "ancient bold clumsy damp elegant fierce golden humble idle jolly keen loud mild nervous odd "
            "plain quaint rare smooth tender ugly vast wild",
            "name": "Albert Beatrice Cedric Daphne Edmund Florence George Harriet Isaac Judith",
        },
    }.items()
}
_REPLIES: Final = ("Yes.", "No.", "Perhaps.", "Never!", "Who?", "Not today.", "Come in!", "So be it.", "Why not?")
_LINKS: Final = ("and", "but", "while", "because", "until", "although", "so")
_PREPOSITIONS: Final = ("beside", "behind", "under", "beyond", "above", "near", "without", "across")
_VERBS_OF_SAYING: Final = ("said", "asked", "answered", "muttered", "cried")


class Sentences:
    """An endless source of sentences."""

    def __init__(self, seed: int, *, vocabulary: str = "tuning") -> None:
        self._rng = random.Random(f"{vocabulary} {seed}")
        self._words = _WORDS[vocabulary]
        self._said: set[str] = set()

    def take(self, count: int) -> list[str]:
        """Return so many sentences, none of them twice, of 4 to some 280 characters."""
        shapes: list[tuple[Callable[[], str], int]] = [
            (lambda: self._rng.choice(_REPLIES), 1),
            (self._remark, 3),
            (self._question, 3),
            (self._statement, 6),
            (self._dialogue, 4),
            (self._enumeration, 2),
            (self._number, 2),
            (self._period, 5),
        ]
        makers, weights = zip(*shapes, strict=True)
        found: list[str] = []
        while len(found) < count:
            (make,) = self._rng.choices(makers, weights)
            text = make()
            if len(text) <= 280 and (text not in self._said or text in _REPLIES):
                self._said.add(text)
                found.append(text)
        return found

    def _word(self, kind: str) -> str:
        return self._rng.choice(self._words[kind])

    def _thing(self) -> str:
        article = self._rng.choice(("the", "the", "her", "his", "some", "that"))
        return (
            f"{article} {self._word('adjective')} {self._word('noun')}"
            if self._rng.random() < 0.6
            else (f"{article} {self._word('noun')}")
        )

    def _clause(self) -> str:
        subject = self._word("name") if self._rng.random() < 0.3 else self._thing()
        clause = f"{subject} {self._word('verb')} {self._thing()}"
        return f"{clause} {self._rng.choice(_PREPOSITIONS)} {self._thing()}" if self._rng.random() < 0.5 else clause

    def _remark(self) -> str:
        return _sentence(f"{self._rng.choice(('what', 'such'))} a {self._word('adjective')} {self._word('noun')}", "!")

    def _question(self) -> str:
        return _sentence(f"{self._rng.choice(('who', 'why', 'when', 'where'))} was it that {self._clause()}", "?")

    def _statement(self) -> str:
        return _sentence(self._clause(), ".")

    def _dialogue(self) -> str:
        said = f"{self._rng.choice(_VERBS_OF_SAYING)} {self._word('name')}"
        return f'"{_sentence(self._clause(), self._rng.choice(",!?"))}" {said}. "{_sentence(self._clause(), ".")}"'

    def _enumeration(self) -> str:
        things = ", ".join(self._thing() for _ in range(self._rng.randint(2, 5)))
        return _sentence(f"{self._word('name')} {self._word('verb')} {things} and {self._thing()}", ".")

    def _number(self) -> str:
        number = self._rng.choice(
            (self._rng.randint(2, 99), self._rng.randint(100, 9_999), self._rng.randint(1700, 2020))
        )
        return _sentence(f"in {number} {self._clause()}", ".")

    def _period(self) -> str:
        sentence = self._clause()
        for _ in range(self._rng.randint(1, 4)):
            sentence += f"{self._rng.choice((', ', '; ', ' '))}{self._rng.choice(_LINKS)} {self._clause()}"
        return _sentence(sentence, ".")


def _sentence(words: str, end: str) -> str:
    return f"{words[0].upper()}{words[1:]}{end}"
