"""The command line reads books by their chapters and everything else as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from epubs import book, saved

from producer.cli.reading import read
from producer.contract.errors import UnreadableInputError


def test_a_book_gives_its_text_title_and_language(tmp_path: Path) -> None:
    path = saved(tmp_path, book("<p>One fine day.</p>", "<p>Another one.</p>"))
    fields = read(str(path)).fields
    assert {name: fields[name] for name in ("text", "title", "language")} == {
        "text": "One fine day.\n\nAnother one.",
        "title": "A Book",
        "language": "en",
    }
    chapters = fields["chapters"]
    assert isinstance(chapters, list)
    assert [str(fields["text"])[chapter["start"] :].split("\n")[0] for chapter in chapters] == [
        "One fine day.",
        "Another one.",
    ]


def test_markdown_gives_its_title_and_no_marks(tmp_path: Path) -> None:
    path = tmp_path / "notes.md"
    path.write_text("# Notes\n\n*One* fine [day](https://example.org).\n", encoding="utf-8")
    fields = read(str(path)).fields
    assert "One fine day." in str(fields["text"])
    assert fields["title"] == "Notes"
    assert "language" not in fields


def test_a_plain_text_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("# Not a *title*\n", encoding="utf-8")
    assert read(str(path)).fields == {"text": "# Not a *title*\n"}


def test_a_broken_book_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInputError) as caught:
        read(str(saved(tmp_path, b"PK\x03\x04 and then nothing")))
    assert caught.value.code == "epub_broken"
