"""`--dry-run`: how much speech a text will be, with nothing queued and no service asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from epubs import book, saved

from producer.cli.application import main
from producer.contract.exitcode import ExitCode


@pytest.fixture(autouse=True)
def _no_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATTERQUEUE_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("CHATTERQUEUE_S3_ENDPOINT_URL", "http://127.0.0.1:1")


@pytest.mark.parametrize("command", ["narrate", "submit"])
def test_a_book_is_estimated_by_its_chapters(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    path = saved(tmp_path, book("<h1>One</h1><p>" + "A fine day. " * 50 + "</p>", "<p>Another one.</p>"))
    assert main([command, str(path), "--dry-run", "--json"]) == ExitCode.OK
    (document,) = json.loads(capsys.readouterr().out)
    first, second = document["chapters"]
    assert document["num_chapters"] == 2
    assert first["num_chars"] > 500 > second["num_chars"]
    assert document["speech_s"] == pytest.approx(first["speech_s"] + second["speech_s"], abs=0.1)
    assert 0 < document["gpu_s"] < document["draft_s"] < document["speech_s"]
    assert not list(tmp_path.glob("*.mp3"))


def test_the_estimate_is_readable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("One fine day. " * 100, encoding="utf-8")
    assert main(["narrate", str(path), "--dry-run"]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert "of one H200" in printed
    assert "notes" in printed


def test_a_bulk_file_is_not_estimated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "--manifest", str(tmp_path / "jobs.jsonl"), "--dry-run"]) == ExitCode.USAGE
    assert "dry-run" in capsys.readouterr().err
