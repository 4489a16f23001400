"""A rule of a pronunciation dictionary as a compiled expression. Knows nothing of texts."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import regex

from producer.contract.dictionary import MAX_RULES, Rule
from worker.text.clean import UNSPACED

#: A character that a word goes on with, in scripts that put spaces between words. Combining marks are among them.
_OF_WORD: Final = rf"[^\W{UNSPACED}]"
#: The same without Hangul: in Korean a word stands free on its left, and particles follow it without a space.
_GOES_ON: Final = rf"[^\W{UNSPACED}\u1100-\u11ff\uac00-\ud7a3]"
#: A word does not go on from outside the match into it. Where the match itself ends in no letter, nothing is asked.
_LEFT: Final = rf"(?:(?<!{_OF_WORD})|(?!{_OF_WORD}))"
_RIGHT: Final = rf"(?:(?!{_GOES_ON})|(?<!{_OF_WORD}))"

#: White space between words of a rule: any, with one line break at most, as in a hard-wrapped paragraph. Possessive, or
#: a million spaces would be tried in a million ways.
_WHITE_SPACE: Final = r"(?=\s)[^\S\n\f]*+(?:\n[^\S\n\f]*+)?+"
#: Characters that people type for one another.
_ALIKE: Final = {"'": "['\u2019\u02bc]", "\u2019": "['\u2019\u02bc]", "-": "[-\u2010\u2011]"}


@lru_cache(maxsize=2 * MAX_RULES)
def rule_pattern(rule: Rule) -> regex.Pattern[str]:
    """Return what finds the places that a rule is for.

    Raises:
        regex.error: the rule's regular expression means nothing to this engine.
    """
    body = rule.pattern if rule.is_regex else _literal(rule.pattern)
    if rule.word_boundary:
        body = f"{_LEFT}(?:{body}){_RIGHT}"
    # V0 is how `re` reads it, with which it was checked when it was added.
    return regex.compile(body, regex.V0 | (0 if rule.case_sensitive else regex.IGNORECASE))


def _literal(words: str) -> str:
    return _WHITE_SPACE.join("".join(_ALIKE.get(c) or regex.escape(c) for c in word) for word in words.split())
