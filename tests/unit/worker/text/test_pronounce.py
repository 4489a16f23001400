"""A pronunciation dictionary changes what it is for and nothing else, and ends."""

# Other alphabets are what this is about.
# ruff: noqa: RUF001

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.contract.dictionary import Rule
from worker.errors import DictionaryLimitError, DictionaryRegexError, DictionaryTooSlowError
from worker.text.clean import clean
from worker.text.markup import Mark
from worker.text.pronounce import RuleLimits, pronounce
from worker.text.rulepattern import rule_pattern


def rule(pattern: str, replacement: str, **how: bool) -> Rule:
    return Rule.model_validate({"from": pattern, "to": replacement, **how})


def said(text: str, *rules: Rule) -> str:
    return pronounce(clean(text), rules).text


def test_whole_words_are_replaced_in_their_own_case():
    assert said("Nguyen, Nguyen's NGUYEN Nguyens _Nguyen_", rule("Nguyen", "Win")) == "Win, Win's NGUYEN Nguyens Win"


def test_case_and_boundaries_can_be_let_go():
    assert said("sql SQL MySQL", rule("SQL", "sequel", case_sensitive=False)) == "sequel sequel MySQL"
    assert said("SQL MySQL", rule("SQL", "sequel", word_boundary=False)) == "sequel Mysequel"


@pytest.mark.parametrize(
    ("text", "pattern", "result"),
    [
        ("東京都でDVDを見た", "東京", "Xでは"),
        ("これはDVDです", "DVD", "X"),
    ],
)
def test_scripts_without_spaces_have_no_boundaries(text: str, pattern: str, result: str):
    assert said(text, rule(pattern, result)) == text.replace(pattern, result)


@pytest.mark.parametrize(
    ("text", "pattern", "result"),
    [
        ("서울은 크다. 신서울", "서울", "X은 크다. 신서울"),  # a particle may follow, a prefix makes another word
        ("राम और रामायण", "राम", "X और रामायण"),  # a vowel sign goes on with the word
        ("Straße Straßen", "Straße", "X Straßen"),
        ("дом дома", "дом", "X дома"),
        ("בית הבית", "בית", "X הבית"),
        ("C++ and C#, C+++", "C++", "X and C#, X+"),
        ("cafe\u0301 cafés", "café", "X cafés"),
        ("don’t don't", "don't", "X X"),
        ("co‑op co-op", "co-op", "X X"),
        ("New\nYork, New  York, New\n\nYork, NewYork", "New York", "X, X, New\n\nYork, NewYork"),
    ],
)
def test_a_word_is_known_in_its_script(text: str, pattern: str, result: str):
    assert said(text, rule(pattern, "X")) == result


def test_rules_follow_one_another_and_never_meet_their_own_words():
    assert said("a b", rule("a", "b"), rule("b", "c")) == "c c"
    assert said("a", rule("a", "a a")) == "a a"
    assert said("ab", rule("a", "b", word_boundary=False), rule("b", "a", word_boundary=False)) == "aa"


def test_groups_come_back():
    units = rule(r"(\d+)\s?km", r"\1 kilometres", is_regex=True)
    assert said("15km or 20 km", units) == "15 kilometres or 20 kilometres"
    versus = rule(r"(?P<a>\w+) v\. (?P<b>\w+)(x)?", r"\g<b> against \g<a>\3", is_regex=True)
    assert said("Roe v. Wade", versus) == "Wade against Roe"


def test_an_empty_match_changes_nothing():
    assert said("abc", rule("x*", "-", is_regex=True, word_boundary=False)) == "abc"


def test_spans_lead_to_what_was_written():
    text = "Mr. Nguyen read *SQL* to [x] New\nYork."
    cleaned = pronounce(clean(text), [rule("Nguyen", "Win"), rule("SQL", "sequel"), rule("New York", "the Big Apple")])
    for words, written in [("Win", "Nguyen"), ("sequel", "SQL"), ("the Big Apple", "New\nYork"), ("read", "read")]:
        start = cleaned.text.index(words)
        span = cleaned.span(start, start + len(words))
        assert text[slice(*span)].strip("*") == written


def test_marks_stay_between_the_same_words():
    text = "Nguyen [pause:1s]Nguyen[voice:ada] New [pause:2s]York New York"
    cleaned = pronounce(clean(text), [rule("Nguyen", "Somebody"), rule("New York", "NYC")])
    assert cleaned.text == "Somebody Somebody New York NYC"
    assert cleaned.marks == (Mark(9, pause_s=1.0), Mark(17, voice="ada"), Mark(22, pause_s=2.0))


def test_ten_thousand_marks_move_along():
    cleaned = pronounce(clean("SQL [pause:1s]" * 10_000), [rule("SQL", "sequel"), rule("sequel", "s")])
    assert [mark.position for mark in cleaned.marks] == [2 * number for number in range(1, 10_001)]
    assert len(cleaned.maps) == len(clean("SQL [pause:1s]").maps) + 1


CATASTROPHIC = [r"(a+)+c(?<!d)", r"(?:a|aa)+c", r"(a*)*(a*)*c"]


@pytest.mark.parametrize("pattern", CATASTROPHIC)
def test_an_expression_that_never_ends_is_stopped_and_named(pattern: str):
    # Ends in what it looks for, or the engine knows at once that there is nothing to find.
    text = "a" * 3_000 + "b c"
    rules = [rule("b", "d"), rule(pattern, "x", is_regex=True)]
    with pytest.raises(DictionaryTooSlowError, match="rule 2 of") as caught:
        pronounce(clean(text), rules, limits=RuleLimits(rule_s=0.05))
    assert (caught.value.code, caught.value.is_retryable) == ("dictionary_too_slow", False)


def test_all_rules_together_have_a_limit_too():
    with pytest.raises(DictionaryTooSlowError, match="rule 1 of"):
        pronounce(clean("a"), [rule("a", "b")], limits=RuleLimits(total_s=0.0))


def test_a_text_that_grows_without_end_is_stopped():
    double = rule("a", "aa", word_boundary=False)
    with pytest.raises(DictionaryLimitError, match=r"rule 10 of .* grows over 1000"):
        pronounce(clean("a"), [double] * 20, limits=RuleLimits(max_chars=1_000))
    with pytest.raises(DictionaryLimitError, match=r"rule 2 of .* more than 15 replacements"):
        pronounce(clean("a " * 10), [double, double], limits=RuleLimits(max_replacements=15))


def test_an_expression_that_this_engine_does_not_take_is_named():
    with pytest.raises(DictionaryRegexError, match="rule 1 of"):
        pronounce(clean("a"), [Rule.model_construct(pattern="(", replacement="", is_regex=True, case_sensitive=True)])


def test_groups_nested_as_deep_as_a_rule_allows_compile():
    assert rule_pattern(rule("(" * 249 + "ab" + ")" * 249, "x", is_regex=True)).search("ab")


words = st.text("ab Nß东\u0301'", max_size=4)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.one_of(words, st.sampled_from(["[pause:1s]", "[voice:ada]"])), max_size=12).map("".join),
    st.lists(st.tuples(words.filter(str.strip), words, st.booleans(), st.booleans()), max_size=5),
)
def test_whatever_the_rules_the_way_back_is_right(text: str, found: list[tuple[str, str, bool, bool]]):
    cleaned = clean(text)
    rules = [rule(a, b, case_sensitive=case, word_boundary=boundary) for a, b, case, boundary in found]
    result = pronounce(cleaned, rules)
    assert [(mark.pause_s, mark.voice) for mark in result.marks] == [(m.pause_s, m.voice) for m in cleaned.marks]
    places = [mark.position for mark in result.marks]
    assert places == sorted(places)
    assert all(0 <= place <= len(result.text) for place in places)
    spans = [result.span(position, position + 1) for position in range(len(result.text))]
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert spans == sorted(spans)
