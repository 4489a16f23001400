"""Markdown as a document: what is read, what is not, and where chapters begin."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.contract.errors import UnreadableInputError
from producer.documents import Document, read_document
from producer.documents.markdown import read_markdown


def read(text: str) -> Document:
    return read_markdown(text, "book.md")


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("One *two* __three__ ~~four~~\nfive", "One two three four five"),
        ("One  \ntwo\\\nthree<br>four", "One\ntwo\nthree\nfour"),
        (
            "See [the page](http://x.org 'T'), [this][r] and <http://y.org>.\n\n[r]: /z",
            "See the page, this and http://y.org.",
        ),
        ("Before ![a picture](a.png) after", "Before after"),
        ("# One #\n\nText `x`", "# One\n\nText x"),
        ("One\n===\n\nTwo\n---", "# One\n\n## Two"),
        ("## One {#one .x}", "## One"),
        ("- One\n- Two\n  - In\n\nAfter", "- One\n- Two\n- In\n\nAfter"),
        ("3. One\n4. Two\n\n   More", "3. One\n4. Two\n\nMore"),
        ("> One\n> > Two", "One\n\nTwo"),
        ("| A | B |\n|---|---|\n| 1 |  |\n| 2. | 3 |", "- A, B\n- 1\n- 2. 3"),
        ("One\n\n***\n\nTwo", "One\n\n* * *\n\nTwo"),
        ("One\n\n```python\nout()\n```\n\nTwo", "One\n\nTwo"),
        ("Verse:\n\n    a line\n    and another", "Verse:\n\na line\nand another"),
        ("One <!-- out --> two\n\n<!--\nout\n-->\n\nThree", "One two\n\nThree"),
        ("<div align='center'>\n\nOne\n\n</div>\n\n<p>Two<br>three</p>", "One\n\nTwo\nthree"),
        ("One[^1] two[^note].\n\n[^1]: out\nout\n[^note]: out\n\n    out\n\nThree", "One two.\n\nThree"),
        ("- One[^a]\n- Two\n\n[^a]: out", "- One\n- Two"),
        ("a \\* b \\[c\\] &amp; d &mdash; e", "a * b [c] & d — e"),
        ("東京\nタワー", "東京タワー"),
        ("---\n\nA rule first", "* * *\n\nA rule first"),
        ("a < b and 3*4*5, snake_case_name", "a < b and 345, snake_case_name"),
    ],
)
def test_text_is_read_without_its_marks(text: str, read_as: str):
    assert read(text).text == read_as


def test_chapters_begin_at_the_highest_headings_that_are_more_than_one():
    document = read("# The Book\n\nBy Ann.\n\n## One\n\na\n\n### In\n\nb\n\n## Two\n\nc\n")
    assert [(chapter.title, chapter.text) for chapter in document.chapters] == [
        ("The Book", "# The Book\n\nBy Ann."),
        ("One", "## One\n\na\n\n### In\n\nb"),
        ("Two", "## Two\n\nc"),
    ]
    assert document.title == "The Book"


def test_a_text_without_headings_is_one_chapter_by_the_name_of_the_file():
    assert [(chapter.title, chapter.text) for chapter in read("One\n\ntwo").chapters] == [("book", "One\n\ntwo")]


@pytest.mark.parametrize(
    "front",
    [
        "---\ntitle: 'A: Book'\nauthor: Ann\nlang: de-AT\ntags: [a, b]\n---\n",
        '+++\ntitle = "A: Book"\nauthor = "Ann"\nlanguage = "de"\n+++\n',
    ],
)
def test_front_matter_is_not_read_but_understood(front: str):
    document = read(f"{front}\nText.\n")
    assert (document.title, document.author, document.language) == ("A: Book", "Ann", "de")
    assert document.text == "Text."
    assert str(document.chapters[0].source[0]) == f"book.md, line {front.count(chr(10)) + 2}"


def test_every_place_leads_to_its_line():
    document = read("# A\n\none\n\n- two\n- three\n\n<p>\nfour</p>\n")
    lines = {word: document.locate(document.text.index(word))[1].line for word in ("A", "one", "three", "four")}
    assert lines == {"A": 1, "one": 3, "three": 6, "four": 9}


@pytest.mark.parametrize(
    "text", ["[" * 3_000, "*a " * 3_000, "> " * 90 + "a", "|a" * 1_500 + "\n" + "|-" * 1_500, "<!-- out\n\nText"]
)
def test_what_is_built_to_break_the_parser_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "book.md"
    path.write_text(f"One.\n\n{text}")
    with pytest.raises(UnreadableInputError) as caught:
        read_document(path)
    assert caught.value.code in {"markdown_markup", "markup_broken"}


@settings(max_examples=60)
@given(
    st.lists(st.text("abcdefg XYZ.,\u00e9\u6f22", min_size=1, max_size=20), max_size=8),
    st.sampled_from(["# ", "- ", "> ", "1. ", ""]),
)
def test_no_letter_is_lost(lines: list[str], mark: str):
    text = "Start.\n\n" + "\n\n".join(mark + line.strip() for line in lines)
    found = read(text).text
    assert [each for each in found if each.isalpha()] == [each for each in text if each.isalpha()]
