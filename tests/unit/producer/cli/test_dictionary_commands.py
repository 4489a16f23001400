"""The commands `dictionaries ...` without any service: what they refuse, and how they say so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from producer.cli import main

REFUSALS: dict[str, tuple[int, str]] = {
    "dictionaries": (2, "Say how words are pronounced"),
    "dictionaries add": (2, "NAME"),
    "dictionaries add Names good.csv": (3, "dictionary_name"),
    "dictionaries add names missing.csv": (3, "file_missing"),
    "dictionaries add names bad.csv": (3, "line 2: rule 2 to: holds U+005B"),
    "dictionaries add names bad.json": (3, "line 2: rule 1: `from` is no regular expression"),
    "dictionaries add names good.csv": (5, "S3"),
    "dictionaries list": (5, "S3"),
    "dictionaries show names": (5, "S3"),
    "dictionaries show ../names": (4, "no dictionary '../names'"),
    "dictionaries remove ../names": (4, "dictionaries add"),
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with rules, and an S3 server that is not there."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "CHATTERQUEUE_REDIS_URL": "redis://127.0.0.1:1/0",
        "CHATTERQUEUE_S3_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "good.csv").write_text("Nguyen,Win\n", "utf-8")
    (tmp_path / "bad.csv").write_text("Nguyen,Win\na,[STOP]\n", "utf-8")
    (tmp_path / "bad.json").write_text('[\n{"from": "(", "to": "x", "is_regex": true}]', "utf-8")


@pytest.mark.parametrize("line", REFUSALS)
def test_a_command_is_refused_with_a_sentence_and_its_exit_code(line: str, capsys: pytest.CaptureFixture[str]):
    exit_code, words = REFUSALS[line]
    assert main(line.split()) == exit_code
    printed = capsys.readouterr()
    assert words in " ".join((printed.out + printed.err).split())
    assert "Traceback" not in printed.err


def test_every_faulty_rule_is_in_the_document(capsys: pytest.CaptureFixture[str]):
    assert main(["dictionaries", "add", "names", "bad.csv", "--json"]) == 3
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "invalid_dictionary"
    assert [(fault["line"], fault["code"]) for fault in error["faults"]] == [(2, "rule_replacement")]
