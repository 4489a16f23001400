"""A made-up language: each character of a text is said as two speech tokens, each of them one of a few that mean it.

It can be read back without doubt, so the error rate of a model that speaks it is that of the model alone.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

#: What a text is made of. The tokenizer of the small checkpoints knows them one by one.
CHARACTERS = "abcdefghijklmnopqrstuvwxyz "
#: Ends every text: the package puts it there.
FULL_STOP = "."
#: Tokens that a character is said with, and tokens to choose from for each of them: the choice is free, so that
#: the model has something to be unsure about.
TOKENS_PER_CHARACTER = 2
NUM_VARIANTS = 3
#: How often each variant is said: one is usual, so that the likeliest token is a clear one.
VARIANT_WEIGHTS = (0.8, 0.1, 0.1)
#: Sounds that S3Gen knows.
NUM_SOUNDS = 6561


class Language:
    """Says texts as speech tokens and reads speech tokens back."""

    def __init__(self, seed: int) -> None:
        alphabet = CHARACTERS + FULL_STOP
        sounds = random.Random(seed).sample(range(NUM_SOUNDS), len(alphabet) * TOKENS_PER_CHARACTER * NUM_VARIANTS)
        self._sounds: dict[str, list[list[int]]] = {}
        self._meaning: dict[int, tuple[str, int]] = {}
        for character in alphabet:
            self._sounds[character] = []
            for place in range(TOKENS_PER_CHARACTER):
                variants = [sounds.pop() for _ in range(NUM_VARIANTS)]
                self._sounds[character].append(variants)
                self._meaning.update(dict.fromkeys(variants, (character, place)))

    def say(self, text: str, rng: random.Random) -> list[int]:
        """Return the speech tokens of a text that ends in a full stop."""
        return [
            rng.choices(variants, VARIANT_WEIGHTS)[0]
            for character in text.lower()
            for variants in self._sounds[character]
        ]

    def read(self, tokens: Sequence[int]) -> str:
        """Return what was said, without the full stop; a token that means nothing is a question mark."""
        heard = [self._meaning.get(token, ("?", 0)) for token in tokens]
        return "".join(character for character, place in heard if place == 0).removesuffix(FULL_STOP)


def random_text(rng: random.Random, num_characters: int) -> str:
    """Return words of random letters, of this length together, without a full stop."""
    text = ""
    while len(text) < num_characters:
        text += "".join(rng.choices(CHARACTERS[:-1], k=rng.randint(1, 7))) + " "
    return text[: num_characters - 1] + rng.choice(CHARACTERS[:-1])
