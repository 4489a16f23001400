"""Files that are refused as documents: by name, with a sentence, and with nothing left behind."""

from __future__ import annotations

import io
import random
import tracemalloc
import zipfile
from pathlib import Path

import epubs
import pytest
from epubs import book, package, page, saved

from producer.contract.errors import UnreadableInputError
from producer.contract.exitcode import ExitCode
from producer.documents import read_document

CONTAINER = epubs.CONTAINER.format(path="OEBPS/book.opf")
ENTITIES = '<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]>'
XML_BOMB = f"{ENTITIES}<html><body><p>&b;</p></body></html>"
OUTSIDE_ENTITY = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><html><body><p>&a;</p></body></html>'
ITEM = '<item id="p" href="{}" media-type="{}"/>'
ADEPT = (
    '<encryption xmlns:enc="e"><enc:EncryptedData><enc:EncryptionMethod Algorithm="{}"/></enc:EncryptedData>'
    "</encryption>"
)


def with_page(content: str | bytes) -> bytes:
    return book("", extra={"OEBPS/p1.xhtml": content})


def with_package(opf: str | bytes) -> bytes:
    return epubs.epub({"META-INF/container.xml": CONTAINER, "OEBPS/book.opf": opf, "OEBPS/p1.xhtml": page("<p>A</p>")})


def with_item(href: str, media_type: str = "application/xhtml+xml") -> bytes:
    return with_package(package(manifest=ITEM.format(href, media_type), spine='<itemref idref="p"/>'))


def locked() -> bytes:
    """Return a book whose page has the flag of a password."""
    data = bytearray(book("<p>Secret.</p>"))
    start = data.rindex(b"PK\x01\x02", 0, data.rindex(b"OEBPS/p1.xhtml"))
    data[start + 8] |= 1
    return bytes(data)


def damaged() -> bytes:
    """Return a book whose page does not have the checksum that it should."""
    data = epubs.epub(
        {"META-INF/container.xml": CONTAINER, "OEBPS/book.opf": package("p"), "OEBPS/p": page("<p>Once upon</p>")},
        compression=zipfile.ZIP_STORED,
    )
    return data.replace(b"Once upon", b"Once apon")


def with_many_files(number: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for index in range(number):
            archive.writestr(f"{index}", b"")
    return buffer.getvalue()


def lying_about_its_size() -> bytes:
    """Return a book whose page unpacks to 10 MB and says it is small, in the directory and beside the page."""
    data = bytearray(with_page(b"<html><body><p>" + b" " * 10_000_000 + b"</p></body></html>"))
    for name_at, size_at in ((46, 24), (30, 22)):
        start = data.rindex(b"OEBPS/p1.xhtml", 0, len(data) if name_at == 46 else data.rindex(b"PK\x01\x02")) - name_at
        data[start + size_at : start + size_at + 4] = (2_000).to_bytes(4, "little")
    return bytes(data)


REFUSED = {
    "empty": (b"", "epub_broken", "damaged"),
    "no zip": (b"Once upon a time.", "epub_broken", "damaged"),
    "cut": (book("<p>Text.</p>" * 100)[:-200], "epub_broken", "damaged"),
    "checksum": (damaged(), "epub_broken", "OEBPS/p"),
    "not packed as an EPUB may be": (
        epubs.epub({"META-INF/container.xml": CONTAINER}, compression=zipfile.ZIP_BZIP2),
        "epub_broken",
        "META-INF/container.xml",
    ),
    "password": (locked(), "epub_encrypted", "password"),
    "Adobe": (
        book("", extra={"META-INF/encryption.xml": ADEPT.format("aes"), "META-INF/rights.xml": ""}),
        "epub_protected",
        "Adobe ADEPT",
    ),
    "Readium": (
        book("", extra={"META-INF/encryption.xml": ADEPT.format("aes"), "META-INF/license.lcpl": "{}"}),
        "epub_protected",
        "Readium LCP",
    ),
    "unknown protection": (
        book("", extra={"META-INF/encryption.xml": ADEPT.format("aes")}),
        "epub_protected",
        "use a copy without",
    ),
    "bomb in one file": (with_page(b"<p>" + b" " * 2_000_000), "epub_bomb", "zip bomb"),
    "bomb beside the text": (book("<p>A</p>", extra={"x.bin": bytes(20_000_000)}), "epub_bomb", "zip bomb"),
    "bomb that lies": (lying_about_its_size(), "epub_broken", "p1.xhtml"),
    "too large": (with_page(random.Random(1).randbytes(17_000_000)), "epub_too_large", "17000000 bytes"),
    "too many files": (with_many_files(10_001), "epub_too_large", "10001 files"),
    "directory too large": (with_many_files(45_000), "epub_too_large", "directory"),
    "file with an absolute path": (book("<p>A</p>", extra={"/etc/passwd": "x"}), "epub_path", "/etc/passwd"),
    "file above the archive": (book("<p>A</p>", extra={"a/../../x": "x"}), "epub_path", "a/../../x"),
    "file on a drive": (book("<p>A</p>", extra={"C:\\x": "x"}), "epub_path", "C:"),
    "page above the archive": (with_item("../../p1.xhtml"), "epub_path", "'p'"),
    "page with an absolute path": (with_item("/OEBPS/p1.xhtml"), "epub_path", "'p'"),
    "page on the web": (with_item("http://example.com/p1.xhtml"), "epub_path", "'p'"),
    "page that is missing": (with_item("p2.xhtml"), "epub_file_missing", "OEBPS/p2.xhtml"),
    "page that is not listed": (with_package(package(spine='<itemref idref="q"/>')), "epub_file_missing", "'q'"),
    "page that is no text": (with_item("p1.pdf", "application/pdf"), "epub_no_text", "application/pdf"),
    "no container": (epubs.epub({"p1.xhtml": page("<p>A</p>")}), "epub_no_package", "META-INF/container.xml"),
    "container of nothing": (epubs.epub({"META-INF/container.xml": "<container/>"}), "epub_no_package", "package file"),
    "package that is missing": (epubs.epub({"META-INF/container.xml": CONTAINER}), "epub_file_missing", "book.opf"),
    "package that is none": (with_package("<html/>"), "epub_no_package", "book.opf"),
    "no spine": (with_package("<package><manifest/></package>"), "epub_no_package", "no spine"),
    "empty spine": (with_package(package()), "epub_no_text", "no text"),
    "pictures only": (book("<p><img src='a.png' alt='A map'/></p>", "<p>* * *</p>"), "epub_no_text", "no text"),
    "entities in a page": (with_page(XML_BOMB), "markup_entities", "OEBPS/p1.xhtml"),
    "entities in the package": (with_package(ENTITIES + "<package/>"), "markup_entities", "entities"),
    "entities from outside": (with_page(OUTSIDE_ENTITY), "markup_entities", "entities"),
    "deep page": (with_page("<b>" * 600 + "</b>" * 600), "markup_broken", "500 elements"),
    "deep page that is not well-formed": (with_page("<html>" + "<b>" * 600), "markup_broken", "500 elements"),
    "deep package": (with_package("<x>" * 200 + "</x>" * 200), "markup_broken", "no book has"),
    "comment without an end": (with_page("<html><body><p>A</p><!-- B</body></html>"), "markup_broken", "line 1"),
    "unknown encoding": (with_page(b"<html><p>\xff\xfe\x81</html>"), "text_encoding", "UTF-8"),
}


@pytest.mark.parametrize(("data", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_an_epub_is_refused_by_name(tmp_path: Path, data: bytes, code: str, words: str):
    path = saved(tmp_path, data)
    with pytest.raises(UnreadableInputError) as caught:
        read_document(path)
    assert caught.value.code == code
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.exit_code is ExitCode.INVALID_INPUT
    assert caught.value.__cause__ is None
    assert [each.name for each in tmp_path.iterdir()] == ["book.epub"]


def test_scrambled_fonts_are_no_protection(tmp_path: Path):
    encryption = ADEPT.format("http://www.idpf.org/2008/embedding")
    assert read_document(saved(tmp_path, book("<p>A</p>", extra={"META-INF/encryption.xml": encryption}))).text == "A"


def test_whatever_is_broken_in_an_epub_it_is_read_or_refused_and_never_anything_else(tmp_path: Path):
    whole = book("<h1>A</h1><p>Text &amp; more.</p>" * 20, "<p>B</p>")
    chance = random.Random(7)
    refused = 0
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path = saved(tmp_path, bytes(data[: chance.choice((len(data), chance.randrange(len(data))))]))
        try:
            read_document(path)
        except UnreadableInputError:
            refused += 1
    assert refused > 100


def test_a_hostile_page_that_is_not_well_formed_is_read_in_one_pass(tmp_path: Path):
    """In `close`, `html.parser` looks for the end of each unfinished tag to the end of the page."""
    codes = set()
    for attack in ("<!", "<a ", "<!--", "</", "<![CDATA[", "&", "<a b='"):
        path = saved(tmp_path, with_page(epubs.XHTML.replace("{title}", "<").replace("{body}", attack * 20_000)))
        try:
            read_document(path)
        except UnreadableInputError as error:
            codes.add(error.code)
    assert codes == {"markup_broken", "epub_no_text"}


def test_a_page_of_very_many_paragraphs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("producer.documents.markup.prose._MAX_BLOCKS", 100)
    assert read_document(saved(tmp_path, with_page(page("<p>A</p>" * 100)))).text.count("A") == 100
    with pytest.raises(UnreadableInputError, match="100 paragraphs"):
        read_document(saved(tmp_path, with_page(page("<p>A</p>" * 101))))


def test_a_bomb_takes_no_memory(tmp_path: Path):
    bomb_bytes = 60_000_000
    path = saved(tmp_path, book("<p>A</p>", extra={"OEBPS/p1.xhtml": bytes(bomb_bytes)}))
    tracemalloc.start()
    with pytest.raises(UnreadableInputError):
        read_document(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < bomb_bytes / 10
