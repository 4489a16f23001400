"""Where the chapters of an EPUB begin, what they are called, and what the book says about itself."""

from __future__ import annotations

from pathlib import Path

import epubs
import pytest
from epubs import METADATA, book, nav, ncx, package, page, point, saved

from producer.documents import Document, read_document

NAV_ITEM = '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
NCX_ITEM = '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'


def read(folder: Path, opf: str, files: dict[str, str | bytes], path: str = "OEBPS/book.opf") -> Document:
    parts = {"META-INF/container.xml": epubs.CONTAINER.format(path=path), path: opf, **files}
    return read_document(saved(folder, epubs.epub(parts)))


def outline(document: Document) -> list[tuple[str, str]]:
    return [(chapter.title, chapter.text) for chapter in document.chapters]


def test_chapters_are_those_of_the_table_of_contents_in_epub_3(tmp_path: Path):
    rows = (
        "<li><a href='p1.xhtml'>Start &amp; more</a></li>"
        "<li><span>Part One</span><ol><li><a href='Text/p2.xhtml#b'>Second</a></li></ol></li>"
        "<li>Part Two<ol><li><b><a href='Text/p4.xhtml'>Third</a></b></li>"
        "<li><a href='Text/p4.xhtml#c'>c</a></li></ol></li>"
    )
    document = read(
        tmp_path,
        package("p1.xhtml", "Text/p2.xhtml", "Text/p3.xhtml", "Text/p4.xhtml", manifest=NAV_ITEM),
        {
            "OEBPS/nav.xhtml": nav(rows),
            "OEBPS/p1.xhtml": page("<h1>I</h1><p>One.</p>"),
            "OEBPS/Text/p2.xhtml": page("<p>Still one.</p><h1 id='b'>II</h1><p>Two.</p>"),
            "OEBPS/Text/p3.xhtml": page("<p>Still two.</p>"),
            "OEBPS/Text/p4.xhtml": page("<p id='c'>Three.</p>"),
        },
    )
    assert outline(document) == [
        ("Start & more", "# I\n\nOne.\n\nStill one."),
        ("Second", "# II\n\nTwo.\n\nStill two."),
        ("Third: c", "Three."),
    ]


def test_chapters_are_those_of_the_ncx_in_epub_2(tmp_path: Path):
    points = point("Part&#160;One", "p1.xhtml", point("First &mdash; here", "p2.xhtml") + point("Second", "p3.xhtml"))
    document = read(
        tmp_path,
        package("p1.xhtml", "p2.xhtml", "p3.xhtml", version="2.0", manifest=NCX_ITEM, spine_attributes=' toc="ncx"'),
        {
            "OEBPS/toc.ncx": ncx(points),
            **{f"OEBPS/p{number}.xhtml": page(f"<p>Text {number}.</p>") for number in (1, 2, 3)},
        },
    )
    assert outline(document) == [
        ("Part One", "Text 1."),
        ("First — here", "Text 2."),
        ("Second", "Text 3."),
    ]


def test_sections_of_a_chapter_are_no_chapters_but_those_of_a_book_in_one_file_are(tmp_path: Path):
    points = point("One", "p1.xhtml#a", point("One and a half", "p1.xhtml#b")) + point("Two", "p2.xhtml")
    first = page("<h1 id='a'>One</h1><p>Text.</p><h2 id='b'>Half</h2><p>Text.</p>")
    files = {"OEBPS/toc.ncx": ncx(points), "OEBPS/p1.xhtml": first, "OEBPS/p2.xhtml": page("<p>Two.</p>")}
    two_files = read(tmp_path, package("p1.xhtml", "p2.xhtml", manifest=NCX_ITEM), files)
    one_file = read(tmp_path, package("p1.xhtml", manifest=NCX_ITEM), files)
    assert [chapter.title for chapter in two_files.chapters] == ["One", "Two"]
    assert [chapter.title for chapter in one_file.chapters] == ["One", "One and a half"]


@pytest.mark.parametrize(
    ("bodies", "expected"),
    [
        # One heading above the others is the book's title, and stays with the first chapter.
        (
            ["<h1>Title</h1><h2>A</h2><p>a</p><h2>B</h2><p>b</p>"],
            [("A", "# Title\n\n## A\n\na"), ("B", "## B\n\nb")],
        ),
        (
            ["<p>Before.</p><h1>A</h1><p>a</p><h1>B</h1><p>b</p>"],
            [("p1", "Before."), ("A", "# A\n\na"), ("B", "# B\n\nb")],
        ),
        (["<h1>A</h1><p>a</p>", "<p>b</p>"], [("A", "# A\n\na"), ("p2", "b")]),
        (["<h1>A</h1><p>a</p>", "<p><img src='x.png' alt='A picture'/></p>"], [("A", "# A\n\na")]),
    ],
)
def test_headings_begin_chapters_when_there_is_no_table_of_contents(
    tmp_path: Path, bodies: list[str], expected: list[tuple[str, str]]
):
    assert outline(read_document(saved(tmp_path, book(*bodies)))) == expected


def test_pages_beside_the_text_are_left_out(tmp_path: Path):
    document = read(
        tmp_path,
        package(
            "toc.xhtml",
            "p1.xhtml",
            manifest=NAV_ITEM
            + '<item id="note" href="note.xhtml" media-type="application/xhtml+xml"/>'
            + '<item id="map" href="map.svg" media-type="image/svg+xml"/>',
            spine='<itemref idref="nav"/><itemref idref="note" linear="no"/><itemref idref="map"/>',
            guide='<guide><reference type="toc" href="toc.xhtml"/></guide>',
        ),
        {
            "OEBPS/nav.xhtml": nav('<li><a href="p1.xhtml">One</a></li>'),
            "OEBPS/toc.xhtml": page("<p>Contents</p>"),
            "OEBPS/note.xhtml": page("<p>Note</p>"),
            "OEBPS/p1.xhtml": page("<p>One.</p>"),
        },
    )
    assert outline(document) == [("One", "One.")]


def test_a_page_of_links_into_the_book_is_a_table_of_contents(tmp_path: Path):
    links = "".join(f"<p><a href='p2.xhtml'>The chapter called {number}</a> {number}</p>" for number in range(5))
    prose = links.replace("</a>", "</a> which is read because there is more text around than in it")
    contents = read_document(saved(tmp_path, book(f"<h1>Contents</h1>{links}", "<p>One.</p>")))
    assert contents.text == "One."
    assert read_document(saved(tmp_path, book(prose, "<p>One.</p>"))).text.count("chapter called") == 5


@pytest.mark.parametrize(
    ("opf_path", "href", "page_path"),
    [
        ("book.opf", "p1.xhtml", "p1.xhtml"),
        ("a/b/book.opf", "../text/p%201.xhtml", "a/text/p 1.xhtml"),
        ("a/book.opf", "./b/../P1.xhtml", "a/p1.xhtml"),
        ("a/book.opf", "b\\p1.xhtml", "a/b/p1.xhtml"),
    ],
)
def test_pages_are_found_wherever_they_lie(tmp_path: Path, opf_path: str, href: str, page_path: str):
    item = f'<item id="p" href="{href}" media-type="application/xhtml+xml"/>'
    opf = package(manifest=item, spine='<itemref idref="p"/>')
    document = read(tmp_path, opf, {page_path: page("<p>One.</p>")}, opf_path)
    assert document.text == "One."


def test_a_fallback_is_read_for_a_page_of_another_kind(tmp_path: Path):
    items = (
        '<item id="x" href="x.pdf" media-type="application/pdf" fallback="p"/>'
        '<item id="p" href="p1.xhtml" media-type="application/xhtml+xml"/>'
    )
    opf = package(manifest=items, spine='<itemref idref="x"/>')
    assert read(tmp_path, opf, {"OEBPS/p1.xhtml": page("<p>One.</p>")}).text == "One."


def test_the_book_says_who_wrote_it_and_in_which_language(tmp_path: Path):
    metadata = (
        "<dc:title>The\n Book</dc:title><dc:title>Subtitle</dc:title><dc:language>en-GB</dc:language>"
        '<dc:creator opf:role="aut">Ann</dc:creator><dc:creator opf:role="ill">Bob</dc:creator>'
        '<dc:creator id="c">Cy</dc:creator><meta refines="#c" property="role">trl</meta><dc:creator>Di</dc:creator>'
    )
    document = read(tmp_path, package("p1.xhtml", metadata=metadata), {"OEBPS/p1.xhtml": page("<p>One.</p>")})
    assert (document.title, document.author, document.language) == ("The Book", "Ann, Di", "en")


@pytest.mark.parametrize(("tag", "code"), [("eng", "en"), ("nb-NO", "no"), ("DE", "de"), ("tlh", None), ("", None)])
def test_a_language_is_one_of_ours_or_none(tmp_path: Path, tag: str, code: str | None):
    metadata = f"<dc:language>{tag}</dc:language>"
    files = {"OEBPS/p1.xhtml": page("<p>One.</p>")}
    assert read(tmp_path, package("p1.xhtml", metadata=metadata), files).language == code


PNG = b"\x89PNG\r\n\x1a\n..."


@pytest.mark.parametrize(
    ("item", "metadata", "content", "cover"),
    [
        ('<item id="c" href="c.png" media-type="image/png" properties="cover-image"/>', METADATA, PNG, PNG),
        ('<item id="c" href="c.png" media-type="image/png"/>', f'{METADATA}<meta name="cover" content="c"/>', PNG, PNG),
        ('<item id="c" href="c.png" media-type="image/png" properties="cover-image"/>', METADATA, b"GIF", None),
        ('<item id="c" href="lost.png" media-type="image/png" properties="cover-image"/>', METADATA, PNG, None),
    ],
)
def test_a_cover_is_found_and_a_broken_one_is_none(
    tmp_path: Path, item: str, metadata: str, content: bytes, cover: bytes | None
):
    files: dict[str, str | bytes] = {"OEBPS/p1.xhtml": page("<p>One.</p>"), "OEBPS/c.png": content}
    assert read(tmp_path, package("p1.xhtml", metadata=metadata, manifest=item), files).cover == cover


def test_every_place_of_the_text_leads_to_a_file_and_a_line(tmp_path: Path):
    document = read_document(saved(tmp_path, book("<h1>A</h1>\n<p>One.\nTwo.</p>", "<ul>\n<li>Three</li></ul>")))
    found = {
        word: (index, str(origin))
        for word in ("A", "Two", "Three")
        for index, origin in [document.locate(document.text.index(word))]
    }
    assert found == {
        "A": (0, "OEBPS/p1.xhtml, line 4"),
        "Two": (0, "OEBPS/p1.xhtml, line 5"),
        "Three": (1, "OEBPS/p2.xhtml, line 5"),
    }
    assert [document.text[start:][:3] for start in document.chapter_starts] == ["# A", "- T"]
