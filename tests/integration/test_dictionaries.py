"""Dictionaries in a real bucket, by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from producer import Client
from producer.cli import main

pytestmark = pytest.mark.integration


def run(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(line.split())
    return code, capsys.readouterr().out


def test_a_dictionary_is_added_listed_shown_changed_and_removed(settings, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.csv").write_text("from,to\nNguyen,Win\n[a-z],x\n", "utf-8")
    (tmp_path / "two.json").write_text('[{"from": "(a)", "to": "\\\\1b", "is_regex": true}]', "utf-8")
    assert run("dictionaries add names one.csv", capsys) == (0, "names: version 1, 2 rules\n")
    with Client(settings) as client:
        pinned = client.dictionaries.reference("names")
    code, shown = run("dictionaries show names", capsys)
    assert code == 0
    assert "[a-z]" in shown
    assert run("dictionaries add names two.json", capsys) == (0, "names: version 2, 1 rule\n")
    _, listed = run("dictionaries list --json", capsys)
    assert [(entry["name"], len(entry["versions"])) for entry in json.loads(listed)] == [("names", 2)]

    _, document = run("dictionaries show names --json", capsys)
    (tmp_path / "again.json").write_text(document, "utf-8")
    assert run("dictionaries add names again.json", capsys)[1] == "names: version 2, 1 rule\n"

    assert run("dictionaries remove names", capsys)[0] == 0
    assert run("dictionaries show names", capsys)[0] == 4
    with Client(settings) as client:
        assert [rule.pattern for rule in client.dictionaries.rules(pinned).rules] == ["Nguyen", "[a-z]"]
