"""The rules of a pronunciation dictionary, applied to a text. Knows nothing of where they are kept.

Each rule reads the text once, from left to right, as the rules before it left it: a rule meets what earlier rules
put in, and never what it put in itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import regex

from producer.contract.dictionary import Rule
from producer.contract.narration import MAX_TEXT_CHARS
from producer.contract.replacement import Replacement
from worker.errors import DictionaryLimitError, DictionaryRegexError, DictionaryTooSlowError
from worker.text.clean import CleanText
from worker.text.offsets import Edit, OffsetMap
from worker.text.rulepattern import rule_pattern


@dataclass(frozen=True, slots=True)
class RuleLimits:
    """How far a dictionary may go with one text.

    Times are of the CPU, so that a busy machine refuses no dictionary that an idle one takes: `regex` counts what the
    whole process uses, and between two matches it is this thread's that is counted.
    """

    #: Seconds for one rule. A word takes 1 ms in a book of 1.4 million characters; what takes seconds never ends.
    rule_s: float = 5.0
    #: Seconds for all rules; a thousand whose changes break the map of positions at 169,000 places take 10.
    total_s: float = 60.0
    #: Replacements by all rules: two for each of a long book's sentences, ten times over.
    max_replacements: int = 300_000
    #: Characters of the text that results.
    max_chars: int = 2 * MAX_TEXT_CHARS


DEFAULT_LIMITS: Final = RuleLimits()


def pronounce(cleaned: CleanText, rules: Sequence[Rule], *, limits: RuleLimits = DEFAULT_LIMITS) -> CleanText:
    """Return the text as the rules want it said; nothing is replaced that a mark stands in the middle of.

    Raises:
        DictionaryTooSlowError: naming the rule at which the time was over.
        DictionaryLimitError: naming the rule that goes too far.
        DictionaryRegexError: naming a rule that cannot be compiled.
    """
    ends_at_s = time.thread_time() + limits.total_s
    num_left = limits.max_replacements
    result = cleaned
    for number, rule in enumerate(rules, 1):
        found = _Finding(result, number, rule, limits, num_left, ends_at_s).edits()
        if found:
            result = result.rewritten(iter(found))
            num_left -= len(found)
    new_maps = result.maps[: len(result.maps) - len(cleaned.maps)]
    return replace(result, maps=(_together(new_maps), *cleaned.maps)) if new_maps else cleaned


@dataclass(frozen=True, slots=True)
class _Finding:
    """One rule's way through a text."""

    cleaned: CleanText
    number: int
    rule: Rule
    limits: RuleLimits
    num_left: int
    ends_at_s: float

    def edits(self) -> list[Edit]:
        """Return what the rule changes."""
        limit_s = min(self.limits.rule_s, self.ends_at_s - time.thread_time())
        if limit_s <= 0:
            raise DictionaryTooSlowError(self.number, self.limits.total_s)
        try:
            return list(self._edits(limit_s))
        except TimeoutError:
            raise DictionaryTooSlowError(self.number, limit_s) from None
        except (regex.error, RecursionError) as error:
            raise DictionaryRegexError(self.number, str(error)) from None
        except MemoryError:
            raise DictionaryLimitError(self.number, "it needs more memory than there is") from None

    def _edits(self, limit_s: float) -> Iterator[Edit]:
        until_s = time.thread_time() + limit_s
        text = self.cleaned.text
        replacement = Replacement.parse(self.rule.replacement) if self.rule.is_regex else None
        num_found, num_chars = 0, len(text)
        # `concurrent` lets go of the GIL, so that leases are renewed while an expression runs in circles.
        for match in rule_pattern(self.rule).finditer(text, timeout=limit_s, concurrent=True):
            if time.thread_time() > until_s:
                raise TimeoutError
            start, end = match.span()
            if start == end or self.cleaned.is_marked_inside(start, end):
                continue
            said = self.rule.replacement if replacement is None else replacement.of(match)
            num_found += 1
            num_chars += len(said) - (end - start)
            if num_found > self.num_left:
                raise DictionaryLimitError(self.number, f"more than {self.limits.max_replacements} replacements")
            if num_chars > self.limits.max_chars:
                raise DictionaryLimitError(self.number, f"the text grows over {self.limits.max_chars} characters")
            yield Edit(start, end, said)


def _together(maps: Sequence[OffsetMap]) -> OffsetMap:
    """Return one map for many, the last one first; neighbours in pairs, so that a thousand take ten rounds."""
    while len(maps) > 1:
        pairs = zip(maps[::2], maps[1::2], strict=False)
        maps = [*(earlier.then(later) for later, earlier in pairs), *(maps[-1:] if len(maps) % 2 else ())]
    return maps[0]
