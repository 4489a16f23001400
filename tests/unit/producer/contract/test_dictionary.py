"""What a rule may be."""

from __future__ import annotations

import hashlib

import pytest
from pydantic import ValidationError

from producer.contract.dictionary import MAX_RULES, Rule, Rules
from producer.contract.errors import MalformedMessageError
from producer.contract.expansion import expanded_size
from producer.contract.narration import DictionaryReference
from producer.contract.replacement import Replacement


def rule(pattern: str, replacement: str, **how: bool) -> Rule:
    return Rule.model_validate({"from": pattern, "to": replacement, **how})


REFUSED: dict[str, tuple[tuple[str, str], str]] = {
    "nothing to look for": (("", "x"), "string_too_short"),
    "only spaces": (("  ", "x"), "rule_pattern"),
    "too long": (("a" * 501, "x"), "string_too_long"),
    "too much to say": (("a", "x" * 251), "string_too_long"),
    "a bracket": (("a", "[STOP]"), "rule_replacement"),
    "a wide bracket": (("a", "\uff3bfr\uff3d"), "rule_replacement"),
    "a mark": (("a", "[pause:1s]"), "rule_replacement"),
    "a line break": (("a", "x\ny"), "rule_replacement"),
    "a control": (("a", "x\x07"), "rule_replacement"),
    "a zero-width character": (("a", "x\u200by"), "rule_replacement"),
}
REFUSED_REGEXES: dict[str, tuple[tuple[str, str], str]] = {
    "no expression": (("(", "x"), "rule_regex"),
    "gigabytes to compile": (("(?:" * 8 + "a" + "){9}" * 8, "x"), "rule_regex"),
    "an ambiguous set": (("[[a]", "x"), "rule_regex"),
    "an error that is allowed for": (("word{e}", "x"), "rule_regex"),
    "a verbose one": (("(?x)a b # c", "x"), "rule_regex"),
    "a group that is not there": (("(a)", r"\2"), "rule_replacement"),
    "a name that is not there": (("(?P<x>a)", r"\g<y>"), "rule_replacement"),
    "an escape that brings in a bracket": (("a", r"\x5b"), "rule_replacement"),
    "everything away": ((".*", ""), "rule_empties"),
    "every word away": ((r"\w+", " … "), "rule_empties"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_rule_is_refused(what: str):
    (pattern, replacement), code = REFUSED[what]
    with pytest.raises(ValidationError) as caught:
        rule(pattern, replacement)
    assert [error["type"] for error in caught.value.errors()] == [code]


@pytest.mark.parametrize("what", REFUSED_REGEXES)
def test_a_regular_expression_is_refused(what: str):
    (pattern, replacement), code = REFUSED_REGEXES[what]
    with pytest.raises(ValidationError) as caught:
        rule(pattern, replacement, is_regex=True)
    assert [error["type"] for error in caught.value.errors()] == [code]


def test_a_rule_may_take_a_word_out():
    assert rule("sic", "").replacement == ""
    assert rule(r"\bsic\b", "", is_regex=True).is_regex


def test_a_field_that_is_not_known_is_refused():
    with pytest.raises(ValidationError):
        Rule.model_validate({"from": "a", "to": "b", "speed": 2})


def test_a_rule_is_composed_as_every_text_is():
    assert rule("cafe\u0301", "kaffay").pattern == "café"


def test_a_thousand_rules_fit_and_no_more():
    rules = [rule(f"word{number}", "x") for number in range(MAX_RULES + 1)]
    assert len(Rules(rules=tuple(rules[:-1])).rules) == MAX_RULES
    with pytest.raises(ValidationError):
        Rules(rules=tuple(rules))


def test_stored_rules_come_back_and_changed_ones_do_not():
    rules = Rules(rules=(rule("a", "b"), rule("(c)", r"\1d", is_regex=True, case_sensitive=False)))
    data = rules.encode()
    reference = DictionaryReference(name="ada", version=3, sha256=hashlib.sha256(data).hexdigest())
    assert Rules.decode(data, reference) == rules
    with pytest.raises(MalformedMessageError, match="version 3"):
        Rules.decode(data + b" ", reference)
    newer = DictionaryReference(name="ada", version=3, sha256=hashlib.sha256(b"{}").hexdigest())
    with pytest.raises(MalformedMessageError):
        Rules.decode(b"{}", newer)


def test_stored_rules_of_the_first_version_can_still_be_read():
    rule = b'{"from":"a","to":"b","case_sensitive":true,"word_boundary":true,"is_regex":false}'
    data = b'{"schema_version":1,"rules":[' + rule + b"]}"
    reference = DictionaryReference(name="ada", version=1, sha256=hashlib.sha256(data).hexdigest())
    assert Rules.decode(data, reference).encode() == data


@pytest.mark.parametrize(
    ("pattern", "size"),
    [("abc", 3), ("a{3}", 3), ("a{2,5}", 5), ("a{3,}", 3), ("a{0}", 1), ("(?:ab){10}", 40), ("(?:(?:a){10}){10}", 320),
     (r"[]{9}]{4}", 4), (r"\(\){9}", 10), ("a{b", 3), (r"[\]{5}]{6}", 6)],
)  # fmt: skip
def test_counted_repeats_are_written_out(pattern: str, size: int):
    assert expanded_size(pattern) == size


def test_a_replacement_reads_groups_and_nothing_else():
    parts = Replacement.parse(r"a\1b\g<name>c\\1\g<12>").parts
    assert parts == (("a", 1), ("b", "name"), ("c\\1", 12), ("", None))
    for text in ("\\0", r"\n", r"\g<>", r"\g<0>", "\\", r"\N{BULLET}"):
        with pytest.raises(ValueError, match="not understood"):
            Replacement.parse(text)
