"""Which files are read as what, the estimate, and that a light producer stays one."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from epubs import book, epub, saved

from producer.contract.errors import UnreadableInputError
from producer.documents import Chapter, Document, Origin, estimate, read_document


def zipped(name: str) -> bytes:
    return epub({name: "<p>One</p>"})


TEXT = "One.\r\n\r\n# No heading *here*\r\n\r\n\r\nTwo.\n"


def test_a_plain_text_is_one_chapter_as_it_is(tmp_path: Path):
    path = saved(tmp_path, TEXT.encode("utf-8-sig"), "A Tale.txt")
    document = read_document(path)
    assert document.text == TEXT.replace("\r\n", "\n")
    assert [(chapter.title, len(chapter.source)) for chapter in document.chapters] == [("A Tale", 3)]
    assert str(document.locate(document.text.index("Two"))[1]) == "A Tale.txt, line 6"


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("book", book("<p>One</p>"), "One"),
        ("book.txt", book("<p>One</p>"), "One"),
        ("book.MD", b"*One*", "One"),
        ("book.txt", b"*One*", "*One*"),
        ("book", b"*One*", "*One*"),
    ],
)
def test_a_file_is_read_as_what_it_is(tmp_path: Path, name: str, data: bytes, text: str):
    assert read_document(saved(tmp_path, data, name)).text == text


@pytest.mark.parametrize(("data", "title"), [(book("<h1>One</h1>"), "One"), (b"# Two", "standard input")])
def test_standard_input_is_read_for_a_dash(monkeypatch: pytest.MonkeyPatch, data: bytes, title: str):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert [chapter.title for chapter in read_document("-").chapters] == [title]


def test_what_a_shell_pipes_is_read_once():
    reading, writing = os.pipe()
    os.write(writing, book("<p>One</p>"))
    os.close(writing)
    assert read_document(f"/dev/fd/{reading}").text == "One"
    os.close(reading)


def test_blank_lines_at_the_end_of_a_text_take_no_time(tmp_path: Path):
    document = read_document(saved(tmp_path, b"One.\n\n\nTwo." + b"\n" * 1_000_000, "book.txt"))
    assert [origin.line for origin in document.chapters[0].source] == [1, 4]


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("missing.txt", None, "file_missing"),
        ("missing.epub", None, "file_missing"),
        (".", None, "file_unreadable"),
        ("book.pdf", b"%PDF-1.7\n", "text_binary"),
        ("book.txt", b"\xff\xff", "text_encoding"),
        ("book.txt", b"a" * 2_000_001, "text_too_long"),
        ("book.md", b"a\n" * 200_001, "markdown_markup"),
        ("book.docx", zipped("word/document.xml"), "epub_no_package"),
        ("book.md", b"```\ncode\n```\n", "text_unspeakable"),
        ("book.docx", b"PK\x03\x04", "epub_broken"),
    ],
)
def test_what_is_no_document_is_refused_by_name(tmp_path: Path, name: str, data: bytes | None, code: str):
    path = saved(tmp_path, data, name) if data is not None else tmp_path / name
    with pytest.raises(UnreadableInputError) as caught:
        read_document(path)
    assert caught.value.code == code


def test_an_estimate_counts_what_is_heard():
    chapters = (
        Chapter("A", "# " + "a" * 150, (Origin(0, "a", 1),)),
        Chapter("B", "b" * 74 + "\n\n* * *\n\n" + "b" * 74, (Origin(0, "b", 1),)),
    )
    document = Document("T", None, "en", None, chapters)
    assert [(each.title, each.num_chars, each.speech_s) for each in estimate(document).chapters] == [
        ("A", 151, 10.1),
        ("B", 150, 10.0),
    ]
    assert estimate(document).speech_s == pytest.approx(20.1)
    assert (estimate(document).num_chars, estimate(document).num_segments) == (301, 2)
    assert estimate(document, language="zh").speech_s == pytest.approx(60.2)


def test_reading_a_plain_text_loads_no_reader_of_books():
    script = (
        "import sys; from producer.documents import read_document; read_document(sys.argv[1]); "
        "heavy = ('markdown_it', 'html.parser', 'producer.documents.epub', 'celery'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, __file__], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
