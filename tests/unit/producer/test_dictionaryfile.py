"""Rules from files, and what is said of files that hold none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from producer.contract.dictionary import Rule
from producer.contract.errors import InvalidDictionaryError, UnreadableInputError
from producer.dictionaryfile import MAX_FILE_BYTES, read_rules, rules_of

EXAMPLE = Path(__file__).parents[3] / "examples" / "dictionary.json"


def pairs(text: str) -> list[tuple[str, str]]:
    return [(rule.pattern, rule.replacement) for rule in rules_of(text).rules]


def faults(text: str) -> list[tuple[int | None, str, str]]:
    with pytest.raises(InvalidDictionaryError) as caught:
        rules_of(text)
    return [(fault.line, fault.field, fault.code) for fault in caught.value.faults]


def test_two_columns_are_rules():
    assert pairs('from,to\nNguyen,Win\n\n"Smith, John",John Smith\nsic,\n') == [
        ("Nguyen", "Win"), ("Smith, John", "John Smith"), ("sic", ""),
    ]  # fmt: skip
    assert pairs('Nguyen\tWin\r\nsay "it"\tsay it\r\n') == [("Nguyen", "Win"), ('say "it"', "say it")]
    assert pairs("from,to here\n") == [("from", "to here")]


def test_json_is_a_list_or_an_object_that_holds_one():
    rules = [{"from": "a", "to": "b"}, {"from": "(c)", "to": r"\1", "is_regex": True, "word_boundary": False}]
    assert rules_of(json.dumps(rules)).rules[1] == Rule.model_validate(rules[1])
    assert rules_of(json.dumps({"name": "x", "versions": [], "rules": rules})) == rules_of(json.dumps(rules))


def test_every_fault_has_its_line_and_its_rule():
    text = """{
  "rules": [
    {"from": "Nguyen", "to": "Win"},
    {"from": "Nguyen", "to": "Wen"},
    {"from": "(", "to": "x", "is_regex": true},
    {
      "from": "a", "to": "[b]", "speed": 3},
    7, {"to": "x"}
  ]
}"""
    assert faults(text) == [
        (4, "rule 2 from", "rule_repeated"),
        (5, "rule 3", "rule_regex"),
        (6, "rule 4 to", "rule_replacement"),
        (6, "rule 4 speed", "unknown_field"),
        (8, "rule 5", "wrong_type"),
        (8, "rule 6 from", "missing_field"),
    ]
    assert faults("a,b\nc,[d]\n,e\n") == [(2, "rule 2 to", "rule_replacement"), (3, "rule 3 from", "too_short")]


def test_lines_are_right_where_an_earlier_field_looks_the_same():
    text = '{"name": "\\"rules\\": [",\n"versions": [{"rules": [1]}],\n"rules": [\n{"from": "", "to": "b"}]}'
    assert faults(text) == [(4, "rule 1 from", "too_short")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", (None, "rules", "rules_missing")),
        ("from,to\n", (None, "rules", "rules_missing")),
        ("[]", (None, "rules", "rules_missing")),
        ('{"rules": {}}', (None, "rules", "rules_missing")),
        ('{"rule": []}', (None, "rule", "unknown_field")),
        ('[\n{"from": "a",\n]', (3, "", "json")),
        ("[" * 100_000, (None, "", "json")),
        ("a,b\nc,d,e\n", (2, "", "row_columns")),
        ("a\n", (1, "", "row_columns")),
        ('a,b\n"c,d\n', (2, "", "table")),
        ("\n".join(f"w{number},x" for number in range(1_001)), (None, "rules", "too_many_rules")),
    ],
)
def test_a_file_without_rules_is_refused(text: str, fault: tuple[int | None, str, str]):
    assert faults(text) == [fault]


def test_a_file_that_is_no_text_is_refused(tmp_path: Path):
    (tmp_path / "large").write_bytes(b"a,b\n" * (MAX_FILE_BYTES // 4 + 1))
    (tmp_path / "latin1").write_bytes(b"caf\xe9,x")
    (tmp_path / "zip").write_bytes(b"PK\x03\x04")
    for name, code in [
        ("large", "dictionary_too_large"), ("latin1", "text_encoding"), ("zip", "text_binary"), ("no", "file_missing"),
    ]:  # fmt: skip
        with pytest.raises(UnreadableInputError) as caught:
            read_rules(tmp_path / name)
        assert caught.value.code == code


def test_the_example_is_a_dictionary():
    assert len(read_rules(EXAMPLE).rules) >= 6
