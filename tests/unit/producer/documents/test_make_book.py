"""The EPUB that `examples/make_book.py` makes, by two routes: our reader, and the standard library alone."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

from examples.make_book import make_book
from producer.documents import read_document

TEXT = """


                ALICE'S ADVENTURES IN WONDERLAND

                          Lewis Carroll



                            CHAPTER I

                      Down the Rabbit-Hole


  Alice was _very_ tired,  `and what is the use of a book,'
thought Alice--`without "pictures" & <conversation>?'

            `How doth the little crocodile
              Improve his shining tail,

     *       *       *       *       *       *       *

  `I'm sure,' said Alice.



                           CHAPTER II

                        The Pool's Tears


  The end.
\x1a"""


def letters(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", text).lower()


def test_our_reader_finds_chapters_verse_and_every_letter(tmp_path: Path):
    make_book(TEXT, tmp_path / "out" / "book.epub")
    document = read_document(tmp_path / "out" / "book.epub")
    assert (document.title, document.author, document.language) == (
        "Alice\u2019s Adventures in Wonderland",
        "Lewis Carroll",
        "en",
    )
    assert [chapter.title for chapter in document.chapters][1:] == [
        "Chapter I. Down the Rabbit-Hole",
        "Chapter II. The Pool\u2019s Tears",
    ]
    assert document.chapters[1].text == (
        "# Chapter I. Down the Rabbit-Hole\n\n"
        "Alice was very tired, \u2018and what is the use of a book,\u2019 "
        "thought Alice\u2014\u2018without \u201cpictures\u201d & <conversation>?\u2019\n\n"
        "\u2018How doth the little crocodile\nImprove his shining tail,\n\n"
        "* * *\n\n\u2018I\u2019m sure,\u2019 said Alice."
    )
    assert letters(document.text) == letters(TEXT)
    assert document.cover is not None


def test_the_standard_library_finds_the_same(tmp_path: Path):
    path = tmp_path / "book.epub"
    make_book(TEXT, path)
    with zipfile.ZipFile(path) as archive:
        assert archive.infolist()[0].filename == "mimetype"
        assert archive.infolist()[0].compress_type == zipfile.ZIP_STORED
        trees = {
            name: ElementTree.fromstring(archive.read(name))
            for name in archive.namelist()
            if name.endswith((".opf", ".ncx", ".xhtml"))
        }
    nav = [link.get("href") for link in trees["OEBPS/nav.xhtml"].findall(".//{*}a")]
    ncx = [content.get("src") for content in trees["OEBPS/toc.ncx"].findall(".//{*}content")]
    hrefs = {item.get("id"): item.get("href") for item in trees["OEBPS/content.opf"].findall(".//{*}item")}
    spine = [hrefs[item.get("idref")] for item in trees["OEBPS/content.opf"].findall(".//{*}itemref")]
    assert nav == ncx == spine
    assert len(spine) == 3
    bodies = [trees[f"OEBPS/{name}"].find("{*}body") for name in spine]
    assert letters("".join("".join(body.itertext()) for body in bodies)) == letters(TEXT)


def test_the_same_text_gives_the_same_bytes(tmp_path: Path):
    for name in ("a", "b"):
        make_book(TEXT, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
