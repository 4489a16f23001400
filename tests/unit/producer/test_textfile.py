"""Texts that are read, and files that are refused as texts."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from producer.contract.errors import UnreadableInputError
from producer.contract.exitcode import ExitCode
from producer.textfile import MAX_TEXT_BYTES, decode_text, read_text


def zip_with(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "text", ["Plain.", "Grüße, 日本語, مرحبا.", "a\r\nb\fc\u2028d", "ID3 tags are explained here.", ""]
)
def test_a_text_comes_back_as_it_was_when_it_is_utf_8(tmp_path: Path, text: str):
    path = tmp_path / "text.txt"
    path.write_bytes(text.encode())
    assert read_text(path) == text


def test_a_byte_order_mark_is_dropped():
    assert decode_text("Begin.".encode("utf-8-sig"), "text") == "Begin."


def test_standard_input_is_read_for_a_dash(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"From a pipe.")))
    assert read_text("-") == "From a pipe."


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (zip_with("chapter.txt", b"Once"), "zip archive"),
        (zip_with("mimetype", b"application/epub+zip"), "EPUB"),
        (b"%PDF-1.7\n", "PDF"),
        (gzip.compress(b"Once upon a time.", mtime=0), "gzip"),
        (b"{\\rtf1 Once}", "RTF"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio"),
        (b"\x89PNG\r\n\x1a\n", "image"),
        (b"\x7fELF\x02", "program"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "Office"),
    ],
)
def test_a_file_of_another_kind_is_named_as_such(content: bytes, kind: str):
    with pytest.raises(UnreadableInputError) as caught:
        decode_text(content, "book")
    assert caught.value.code == "text_binary"
    assert kind in str(caught.value)
    assert caught.value.exit_code is ExitCode.INVALID_INPUT


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"abc\xe9def", "byte 3 (line 1) is 0xe9"),
        (b"one\ntwo\n\xff", "byte 8 (line 3) is 0xff"),
        (b"\xef\xbb\xbfab\xe9", "byte 5 (line 1) is 0xe9"),
        ("Text".encode("utf-16"), "UTF-16"),
    ],
)
def test_the_first_bad_byte_is_named_when_a_text_is_not_utf_8(content: bytes, place: str):
    with pytest.raises(UnreadableInputError) as caught:
        decode_text(content, "text")
    assert caught.value.code == "text_encoding"
    assert place in str(caught.value)


def test_a_file_that_is_too_large_is_refused_without_being_read_whole(tmp_path: Path):
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(100 * MAX_TEXT_BYTES)  # a hole: nothing is written
    with pytest.raises(UnreadableInputError) as caught:
        read_text(path)
    assert caught.value.code == "text_too_long"


@pytest.mark.parametrize(
    ("name", "code"), [("missing.txt", "file_missing"), (".", "file_unreadable"), ("a\0b", "file_unreadable")]
)
def test_a_path_without_a_readable_file_is_refused(tmp_path: Path, name: str, code: str):
    with pytest.raises(UnreadableInputError) as caught:
        read_text(f"{tmp_path}/{name}")
    assert caught.value.code == code
