"""From what is written to what is said."""

from __future__ import annotations

import pytest

from producer.contract.dictionary import Rule
from worker.errors import NothingToSayError
from worker.text.clean import clean
from worker.text.markup import Mark
from worker.text.rewriting import rewrite


def rule(pattern: str, replacement: str, **how: bool) -> Rule:
    return Rule.model_validate({"from": pattern, "to": replacement, **how})


def test_without_rules_and_figures_nothing_changes():
    cleaned = clean("In 1984 [pause:1s] Nguyen.")
    assert rewrite(cleaned, (), language="en", normalize=False) is cleaned


def test_the_dictionary_comes_before_the_figures():
    rules = [rule("24/7", "around the clock"), rule("Nguyen", "Win 2")]
    text = "Nguyen worked 24/7 [pause:1s]in 1984."
    result = rewrite(clean(text), rules, language="en", normalize=True)
    assert result.text == "Win two worked around the clock in nineteen eighty-four."
    assert result.marks == (Mark(result.text.index("in nineteen"), pause_s=1.0),)
    start = result.text.index("around")
    assert text[slice(*result.span(start, start + len("around the clock")))] == "24/7"


def test_a_dictionary_that_empties_a_text_is_refused():
    with pytest.raises(NothingToSayError, match="the rules of its pronunciation dictionary") as caught:
        rewrite(clean("sic! Sic?"), [rule("sic", "", case_sensitive=False)], language="en", normalize=True)
    assert (caught.value.code, caught.value.is_retryable) == ("nothing_to_say", False)


def test_a_regular_expression_that_empties_a_text_is_refused():
    everything = rule("(?:[a-z]|[A-Z]| )+", "", is_regex=True)
    with pytest.raises(NothingToSayError):
        rewrite(clean("One Two"), [everything], language="en", normalize=False)


def test_a_text_of_marks_alone_has_nothing_to_say():
    with pytest.raises(NothingToSayError, match="marks"):
        rewrite(clean("[pause:1s] [voice:ada] [pause:"), (), language="en", normalize=False)


def test_a_rule_that_says_figures_is_said_too():
    assert rewrite(clean("Q"), [rule("Q", "Q 5")], language="de", normalize=True).text == "Q fünf"
