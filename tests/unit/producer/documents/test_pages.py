"""What is read of a page, and what is not."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from epubs import book, saved
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.documents import read_document
from producer.documents.epub.page import read_page

NOTE = '<p>Before<a epub:type="noteref" href="#n">1</a> after.</p>'


def text_of(folder: Path, body: str) -> str:
    return read_document(saved(folder, book(body))).text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>One\n  <b>two</b>\tthree</p><p>Four</p>", "One two three\n\nFour"),
        ("<h2>Part <i>One</i></h2><p>Text.</p>", "## Part One\n\nText."),
        ("<h1>Chapter I<br/>The Start</h1>", "# Chapter I. The Start"),
        ("<h1>Who?<br/>You!</h1>", "# Who? You!"),
        ("<p>A line,<br/>and another<br />\n</p>", "A line,\nand another"),
        ("<pre>A line,\n  and another</pre>", "A line,\nand another"),
        ("<div>Loose <p>and</p> tight</div>", "Loose\n\nand\n\ntight"),
        ("<p><span class='dropcap'>I</span>t was.</p>", "It was."),
        ("<p><img alt='O' src='o.png'/>nce, <img alt='A picture' src='a.png'/>there</p>", "Once, there"),
        ("<p>a&amp;b&nbsp;c &eacute;t&#233; &#x2014; &lt;d&gt;</p>", "a&b\xa0c été — <d>"),
        ("<p>co&shy;op&#173;eration</p>", "cooperation"),
        ("<p><![CDATA[a <b> c]]></p>", "a <b> c"),
        ("<p>x<sup>2</sup> and H<sub>2</sub>O</p>", "x2 and H2O"),
        ("<p>He said <q>No</q>.</p>", "He said “No”."),
        ("<p>東京<ruby>都<rp>(</rp><rt>と</rt><rp>)</rp></ruby>に\n行く</p>", "東京都に行く"),
        ("<p>One</p><hr/><p>Two</p>", "One\n\n* * *\n\nTwo"),
        ("<ul><li>One</li><li><p>Two</p></li></ul><p>Three</p>", "- One\n- Two\n\nThree"),
        ("<ol start='3'><li>One</li><li value='7'>Two</li><li>Three</li></ol>", "3. One\n7. Two\n8. Three"),
        ("<ol type='a'><li>One</li><li>Two</li></ol>", "a) One\nb) Two"),
        ("<ol start='3' reversed=''><li>One</li><li>Two</li></ol>", "3. One\n2. Two"),
        ("<ol><li>One<ul><li>In</li></ul></li><li>Two</li></ol>", "1. One\n- In\n2. Two"),
        ("<dl><dt>Word</dt><dd>What it means.</dd></dl>", "Word\n\nWhat it means."),
        (
            "<table><caption>Ages</caption><tr><th>Name</th><th>Age</th></tr><tr><td>Ann.</td><td>7</td></tr></table>",
            "Ages\n\n- Name, Age\n- Ann. 7",
        ),
        ("<table><tr><td><h1>One</h1><p>Text.</p></td></tr></table>", "# One\n\nText."),
        ("<table><tr><td><p>One</p><p>Two</p></td><td>Three</td></tr></table>", "One\n\nTwo\n\nThree"),
        ("<blockquote><p>Quoted.</p></blockquote>", "Quoted."),
        ("<details><summary>More</summary>Text.</details>", "More\n\nText."),
    ],
)
def test_text_is_read_as_a_reader_sees_it(tmp_path: Path, body: str, text: str):
    assert text_of(tmp_path, body) == text


@pytest.mark.parametrize(
    "left_out",
    [
        "<script>out</script>",
        "<style>out</style>",
        "<nav><ol><li>out</li></ol></nav>",
        "<svg><title>out</title><text>out</text></svg>",
        "<aside><p>out</p></aside>",
        "<aside epub:type='footnote'><p>out</p></aside>",
        "<section epub:type='endnotes bodymatter'><h2>out</h2><p>out</p></section>",
        "<div role='doc-endnotes'><p>out</p></div>",
        "<div class='small footnotes'><p>out</p></div>",
        "<span epub:type='pagebreak' title='12'>out</span>",
        "<span class='pagenum'>out</span>",
        "<p hidden='hidden'>out</p>",
        "<p style='color: red; Display : none'>out</p>",
        "<!-- out -->",
        "<p><a href='#n1'><sup>1</sup></a></p>",
        "<p><sup><a href='notes.xhtml#n1'>[23]</a></sup></p>",
        "<p><a href='#n1'>[4]</a></p>",
        "<p><a href='#n1'>*</a></p>",
        "<pre><code>out = 1</code></pre>",
        "<div epub:type='toc'><p>out</p></div>",
    ],
)
def test_notes_page_numbers_and_what_is_no_text_are_left_out(tmp_path: Path, left_out: str):
    assert text_of(tmp_path, f"<p>Before.</p>{left_out}<p>After.</p>") == "Before.\n\nAfter."


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<aside epub:type='epigraph'><p>Kept.</p></aside>", "Kept."),
        ("<h2><a href='toc.xhtml#c1'>1</a></h2>", "## 1"),
        ("<p>See <a href='p2.xhtml#a'>page 4</a> in <a href='#b'>1984</a>.</p>", "See page 4 in 1984."),
        ("<p>In <code>x</code> there is</p>", "In x there is"),
    ],
)
def test_what_only_looks_like_a_note_is_read(tmp_path: Path, body: str, text: str):
    assert text_of(tmp_path, body) == text


@pytest.mark.parametrize(
    ("markup", "texts"),
    [
        ("<p>One<p>Two<br>Three<ul><li>a<li>b</ul>", ["One", "Two\nThree", "a", "b"]),
        ("<p>One & two &nbsp;three</p>", ["One & two \xa0three"]),
        ("<p>One <b>two</p><p>three</b></p>", ["One two", "three"]),
        ("<table><tr><td>a<td>b<tr><td>c<td>d</table>", ["a, b", "c, d"]),
        ("<p title=x>One</P><script>a < b</script><p>Two", ["One", "Two"]),
        ("</p></div>One", ["One"]),
        ("<p>One" * 600 + "<br>" * 600, ["One"] * 600),
    ],
)
def test_pages_that_are_not_well_formed_are_read_too(markup: str, texts: list[str]):
    page = read_page(f"<html><head><title>T</title></head><body>{markup}</body></html>".encode(), "p.xhtml")
    assert [block.text for block in page.blocks] == texts
    assert page.title == "T"


@pytest.mark.parametrize(
    ("declaration", "encoding"),
    [
        ('<?xml version="1.0" encoding="iso-8859-1"?>', "iso-8859-1"),
        ('<?xml version="1.0" encoding="UTF-16"?>', "utf-16"),
        ('<meta charset="windows-1252"><br>', "windows-1252"),
        ("", "utf-8-sig"),
    ],
)
def test_a_page_is_read_in_the_encoding_that_it_declares(declaration: str, encoding: str):
    page = read_page(f"{declaration}<html><body><p>Grüße, é</p></body></html>".encode(encoding), "p.xhtml")
    assert [block.text for block in page.blocks] == ["Grüße, é"]


def test_every_block_knows_its_line():
    page = read_page(b"<html>\n<body>\n<h1>A</h1>\n<p>\nB\nb</p><p>C</p></body></html>", "p.xhtml")
    assert [(block.text, block.line) for block in page.blocks] == [("A", 3), ("B b", 5), ("C", 6)]


WORDS = st.text("abYZ09 \n\té漢字あ한بβ½&<>.,-!“'\xa0\xad\u0301", max_size=8)
INLINE = ("b", "i", "em", "span", "a", "strong", "small", "sub", "sup", "u", "font")
BLOCK = ("p", "div", "h1", "h3", "h6", "li", "blockquote", "section", "td", "pre", "dd", "ul", "ol", "tr", "table")


@st.composite
def markup(draw: st.DrawFn, depth: int = 3) -> str:
    """Draw well-formed elements around any text."""
    if depth == 0:
        return escaped(draw(WORDS))
    parts = []
    for _ in range(draw(st.integers(0, 4))):
        name = draw(st.sampled_from((*INLINE, *BLOCK, "br", "")))
        inside = draw(markup(depth=depth - 1)) if name != "br" else ""
        parts.append(f"<{name}>{inside}</{name}>" if name else inside)
    return "".join(parts)


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def letters(text: str) -> str:
    return "".join(character for character in text if unicodedata.category(character)[0] in "LN")


@settings(max_examples=60)
@given(markup())
def test_no_letter_is_lost_or_moved_whatever_the_markup(body: str):
    page = read_page(f"<html><body>{body}</body></html>".encode(), "p.xhtml")
    plain = re.sub("<[^>]*>", "", body).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert letters("".join(block.text for block in page.blocks)) == letters(plain)


@settings(max_examples=60)
@given(markup())
def test_the_html_parser_finds_the_same_text_as_expat(body: str):
    text = f"<html><body><div>{body}</div></body></html>"
    expected = "".join(block.text for block in read_page(text.encode(), "p.xhtml").blocks)
    # A stray ampersand makes it something that only the HTML parser reads.
    broken = text.replace("</body>", "<i>&</i></body>")
    found = "".join(block.text for block in read_page(broken.encode(), "p.xhtml").blocks)
    assert letters(found) == letters(expected)
