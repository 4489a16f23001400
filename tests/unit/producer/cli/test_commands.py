"""The command line without any service: what it refuses, with which exit code, and how it says so."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from producer.cli import main
from producer.cli.application import _COMMANDS, _VOICE_COMMANDS, EXIT_CODES
from producer.contract.exitcode import ExitCode


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a text, and a Redis that is not there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHATTERQUEUE_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("CHATTERQUEUE_S3_ENDPOINT_URL", "http://127.0.0.1:1")
    (tmp_path / "text.txt").write_text("A text.", encoding="utf-8")
    (tmp_path / "latin1.txt").write_bytes(b"caf\xe9")
    (tmp_path / "blank.txt").write_text(" \n", encoding="utf-8")
    (tmp_path / "dots.txt").write_text("...", encoding="utf-8")
    (tmp_path / "emoji.txt").write_text("😀😀", encoding="utf-8")
    (tmp_path / "link.mp3").symlink_to(tmp_path / "elsewhere.mp3")
    (tmp_path / "folder.mp3").mkdir()
    (tmp_path / "bad.jsonl").write_text('{"text": "One."}\n{"text": ""}\n[]\n{"text": "x", "speed": NaN}\n', "utf-8")
    for name in ("book.epub", "book.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as book:
            book.writestr("mimetype", "application/epub+zip")
    return tmp_path


REFUSALS: dict[str, tuple[int, str]] = {
    "narrate missing.txt": (3, "file_missing"),
    "narrate .": (3, "file_unreadable"),
    "narrate latin1.txt": (3, "text_encoding"),
    "narrate book.epub": (3, "epub_no_package"),
    "narrate book.zip": (3, "text_binary"),
    "narrate blank.txt": (3, "text_empty"),
    "narrate dots.txt": (3, "text_unspeakable"),
    "narrate emoji.txt": (3, "text_unspeakable"),
    "narrate text.txt --engine espeak": (3, "engine_unknown"),
    "narrate text.txt --language tlh": (3, "language_unknown"),
    "narrate text.txt --format ogg": (3, "format_unknown"),
    "narrate text.txt --voice ../x": (3, "voice_name"),
    "narrate text.txt --seed -1": (3, "out_of_range"),
    "narrate text.txt --engine draft --language de": (3, "language_unsupported"),
    "narrate text.txt --seed one": (2, "--seed"),
    "narrate text.txt -o out.ogg": (2, "cannot tell the format"),
    "narrate text.txt -o out.wav --format mp3": (2, "contradict"),
    "narrate text.txt -o folder.mp3": (3, "it is a folder"),
    "narrate text.txt -o link.mp3": (3, "symbolic link"),
    "narrate text.txt -o missing/out.mp3": (3, "there is no folder"),
    "narrate text.txt -o /proc/out.mp3": (3, "cannot be written to"),
    "narrate text.txt": (5, "add --local"),
    "narrate": (2, "FILE"),
    "submit text.txt latin1.txt blank.txt": (3, "blank.txt: text: is empty [text_empty]"),
    "submit --manifest bad.jsonl": (3, "line 4"),
    "submit --manifest missing.jsonl": (3, "file_missing"),
    "submit --manifest bad.jsonl --voice ada": (2, "belongs into its lines"),
    "submit": (2, "--manifest"),
    "submit text.txt": (5, "Redis"),
    "status aaaaaaaaaaaaaaaaaaaaaaaaaa": (5, "Redis"),
    "watch aaaaaaaaaaaaaaaaaaaaaaaaaa": (5, "Redis"),
    "cancel aaaaaaaaaaaaaaaaaaaaaaaaaa": (5, "Redis"),
    "list": (5, "Redis"),
    "list --state done": (2, "--state"),
    "list --limit 0": (2, "--limit"),
    "fetch": (2, "--batch"),
    "fetch a -o missing/out.mp3": (3, "there is no folder"),
    "fetch a b -o missing/folder": (3, "there is no folder"),
    "url a --expires 700000": (3, "seven days"),
    "voices add Ada text.txt --consent yes": (3, "voice_name"),
    "voices add default text.txt --consent yes": (3, "voice_name"),
    "voices add ada text.txt --consent=": (3, "consent_missing"),
    "voices add ada text.txt": (2, "--consent"),
    "voices add ada text.txt --consent yes": (3, "audio_format"),
    "voices add ada missing.wav --consent yes": (3, "file_missing"),
    "voices list": (5, "S3"),
    "worker --role everything": (2, "--role"),
    "worker --gpus two": (2, "--gpus"),
    "sing": (2, "sing"),
}


@pytest.mark.parametrize("line", REFUSALS)
def test_a_command_is_refused_with_a_sentence_and_its_exit_code(line: str, capsys: pytest.CaptureFixture[str]):
    exit_code, words = REFUSALS[line]
    assert main(line.split()) == exit_code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in " ".join(printed.err.split())
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("line", REFUSALS)
def test_an_error_is_one_json_document_when_json_is_asked_for(line: str, capsys: pytest.CaptureFixture[str]):
    exit_code, _ = REFUSALS[line]
    assert main([*line.split(), "--json"]) == exit_code
    printed = capsys.readouterr()
    assert printed.out == ""
    error = json.loads(printed.err)["error"]
    assert error["code"]
    assert error["message"]


def test_every_bad_line_of_a_manifest_is_named(capsys: pytest.CaptureFixture[str]):
    main(["submit", "--manifest", "bad.jsonl", "--json"])
    faults = json.loads(capsys.readouterr().err)["error"]["faults"]
    assert [(fault["line"], fault["code"]) for fault in faults] == [
        (2, "text_empty"), (3, "json_object"), (4, "json_nonfinite"),
    ]  # fmt: skip


def test_nothing_is_made_when_a_narration_is_refused(place: Path):
    before = sorted(path.name for path in place.iterdir())
    for line in (each for each, (exit_code, _) in REFUSALS.items() if exit_code != ExitCode.UNAVAILABLE):
        main(line.split())
    assert sorted(path.name for path in place.iterdir()) == before


def test_settings_that_cannot_be_used_are_named_without_their_values(monkeypatch, capsys):
    monkeypatch.setenv("CHATTERQUEUE_REDIS_URL", "http://:swordfish@there")
    monkeypatch.setenv("CHATTERQUEUE_S3_BUCKET", "UPPER")
    assert main(["list"]) == ExitCode.CONFIGURATION
    printed = capsys.readouterr().err
    assert "CHATTERQUEUE_REDIS_URL" in printed
    assert "CHATTERQUEUE_S3_BUCKET" in printed
    assert "swordfish" not in printed


def test_doctor_names_every_problem_with_its_remedy(capsys):
    assert main(["doctor", "--json"]) == ExitCode.CONFIGURATION
    findings = json.loads(capsys.readouterr().out)
    problems = {finding["subject"]: finding for finding in findings if finding["grade"] == "problem"}
    assert set(problems) == {"Redis", "S3"}
    assert all(finding["remedy"] for finding in problems.values())


def test_a_bug_is_shown_with_its_traceback(monkeypatch, capsys):
    def fail() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("producer.cli.doctor.examine", fail)
    assert main(["doctor"]) == ExitCode.INTERNAL
    assert "RuntimeError: a bug" in capsys.readouterr().err


def test_a_missing_worker_extra_is_named_with_the_line_that_installs_it(monkeypatch, capsys):
    monkeypatch.setitem(__import__("producer.extras").extras.PACKAGES, "worker", ("no-such-package",))
    for line in ("worker", "up", "narrate text.txt --local"):
        assert main(line.split()) == ExitCode.CONFIGURATION
        assert "pip install '.[worker]'" in capsys.readouterr().err
    assert not Path(".chatterqueue").exists()


@pytest.mark.parametrize("line", ["", *_COMMANDS, *(f"voices {name}" for name in _VOICE_COMMANDS)])
def test_the_help_of_every_command_lists_the_exit_codes(line: str, capsys):
    assert main([*line.split(), "--help"]) == 0
    assert EXIT_CODES.split(";")[-1].strip() in " ".join(capsys.readouterr().out.split())


def test_every_exit_code_is_documented():
    for code in ExitCode:
        assert f" {code.value} " in EXIT_CODES


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("chatterqueue")


def test_completion_for_a_shell_can_be_had(capsys, monkeypatch):
    monkeypatch.setenv("SHELL", "/bin/bash")
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    assert main(["--show-completion", "bash"]) == 0
    assert "complete" in capsys.readouterr().out
