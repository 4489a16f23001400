"""Bulk files: what is read from them, and that every bad line is named."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from producer.bulk import read_bulk_file
from producer.contract.errors import InvalidBatchError, UnreadableInputError
from producer.contract.fault import Fault


def write(folder: Path, *lines: str | bytes) -> Path:
    path = folder / "jobs.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return path


def faults_of(path: Path) -> list[Fault]:
    with pytest.raises(InvalidBatchError) as caught:
        read_bulk_file(path).check()
    return caught.value.faults


def test_lines_become_narrations_and_blank_ones_are_skipped(tmp_path: Path):
    path = write(tmp_path, '\ufeff{"text": "One."}', "", "  ", '{"text": "Two.", "format": "wav", "custom_id": "b"}')
    narrations = read_bulk_file(path)
    narrations.check()
    assert [(member.place.line, member.narration.text) for member in narrations.members] == [(1, "One."), (4, "Two.")]


def test_a_text_file_is_read_beside_the_bulk_file(tmp_path: Path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.txt").write_text("From a file.", encoding="utf-8")
    path = write(tmp_path, '{"text_file": "texts/one.txt"}')
    assert read_bulk_file(path).members[0].narration.text == "From a file."


def test_standard_input_is_read_for_a_dash(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"text": "One."}\n')))
    assert len(read_bulk_file("-").members) == 1


BAD_LINES = {
    '{"text": "One."': ("json", ""),
    "[1]": ("json_object", ""),
    '"text"': ("json_object", ""),
    '{"text": "One.", "parameters": {"temperature": NaN}}': ("json_nonfinite", ""),
    '{"text": "One.", "parameters": {"temperature": 1e999}}': ("not_finite", "parameters.temperature"),
    '{"text": "One.", "parameters": {"temperature": "0.8"}}': ("wrong_type", "parameters.temperature"),
    '{"text": "One.", "parameters": {"temperature": 0}}': ("out_of_range", "parameters.temperature"),
    '{"text": "One.", "seed": -1}': ("out_of_range", "seed"),
    '{"text": "One.", "seed": 1.5}': ("wrong_type", "seed"),
    '{"text": "One.", "text": "Two."}': ("json_duplicate", "text"),
    '{"text": "One.", "torch_dtype": "fp8"}': ("unknown_field", "torch_dtype"),
    '{"text": "One.", "engine": "espeak"}': ("engine_unknown", "engine"),
    '{"text": "One.", "format": "ogg"}': ("format_unknown", "format"),
    '{"text": "One.", "language": "tlh"}': ("language_unknown", "language"),
    '{"text": "One.", "voice": "../x"}': ("voice_name", "voice"),
    '{"text": ""}': ("text_empty", "text"),
    '{"text": " \\n\\t"}': ("text_empty", "text"),
    '{"text": "...!?"}': ("text_unspeakable", "text"),
    '{"text": "\\ud83d\\ude00"}': ("text_unspeakable", "text"),
    '{"text": "a\\ud800"}': ("text_encoding", "text"),
    '{"voice": "default"}': ("missing_field", "text"),
    '{"text": "One.", "text_file": "one.txt"}': ("text_twice", "text_file"),
    '{"text_file": 1}': ("wrong_type", "text_file"),
    '{"text_file": "missing.txt"}': ("file_missing", "text_file"),
    "[" * 100_000: ("json", ""),
    '{"seed": ' + "9" * 5000 + "}": ("json", ""),
}


@pytest.mark.parametrize("line", BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_bad_line_is_named_with_its_number_code_and_field(tmp_path: Path, line: str):
    faults = faults_of(write(tmp_path, '{"text": "Fine."}', "", line))
    assert [(fault.line, fault.code, fault.field) for fault in faults] == [(3, *BAD_LINES[line])]


def test_a_line_that_is_not_utf_8_is_named_with_the_byte(tmp_path: Path):
    (fault,) = faults_of(write(tmp_path, '{"text": "Fine."}', b'{"text": "\xe9"}'))
    assert (fault.line, fault.code) == (2, "text_encoding")
    assert "byte 10 is 0xe9" in fault.message


def test_all_bad_lines_are_named_at_once_in_their_order(tmp_path: Path):
    lines = list(BAD_LINES)
    faults = faults_of(write(tmp_path, *lines))
    assert [fault.line for fault in faults] == list(range(1, len(lines) + 1))


def test_no_text_is_repeated_in_a_fault(tmp_path: Path):
    secret = "Mandragora"
    lines = [json.dumps({"text": secret, "voice": 1}), json.dumps({"text": secret, "x": 1}), f'{{"text": "{secret}"']
    assert secret not in str(faults_of(write(tmp_path, *lines)))


@pytest.mark.parametrize("content", [b"", b"\n\n \n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes):
    assert [fault.code for fault in faults_of(write(tmp_path, content))] == ["batch_empty"]


@pytest.mark.parametrize(("name", "code"), [("missing.jsonl", "file_missing"), (".", "file_unreadable")])
def test_a_file_that_cannot_be_read_is_an_error_of_its_own(tmp_path: Path, name: str, code: str):
    with pytest.raises(UnreadableInputError) as caught:
        read_bulk_file(tmp_path / name)
    assert caught.value.code == code
