"""Covers: told by their headers, refused by name, stored under their content."""

from __future__ import annotations

import hashlib
import struct

import pytest
from pictures import jpeg, png

from producer.contract.cover import MAX_COVER_BYTES, CoverFacts, examine_cover
from producer.contract.errors import InvalidCoverError, UnknownCoverError
from producer.contract.keys import cover_key
from producer.covers import add_cover, check_cover

JPEG_START = b"\xff\xd8\xff\xe0\x00\x10JFIF\0" + bytes(9)


def jpeg_frame(height: int, width: int, marker: int = 0xC0) -> bytes:
    return struct.pack(">BBHBHHB", 0xFF, marker, 17, 8, height, width, 3) + bytes(9)


def png_header(width: int, height: int, color: int = 2) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">IIBB", width, height, 8, color) + bytes(7)


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        (png(6, 4), CoverFacts("image/png", 6, 4, 24)),
        (jpeg(16, 8), CoverFacts("image/jpeg", 16, 8, 24)),
        (png_header(3_000, 2_000, color=6), CoverFacts("image/png", 3_000, 2_000, 32)),
        (JPEG_START + jpeg_frame(20, 10, marker=0xC2), CoverFacts("image/jpeg", 10, 20, 24)),
        # Fill bytes before a marker, and markers without a length, are allowed anywhere (T.81, B.1.1.2).
        (JPEG_START + b"\xff\xff\xff\x01\xff\xd0" + jpeg_frame(20, 10), CoverFacts("image/jpeg", 10, 20, 24)),
    ],
)
def test_the_header_tells(data: bytes, facts: CoverFacts) -> None:
    assert examine_cover(data) == facts


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "cover_format"),
        (b"GIF89a" + bytes(100), "cover_format"),
        (b"<svg/>", "cover_format"),
        (b"\x89PNG\r\n\x1a\n", "cover_damaged"),
        (png()[:30], "cover_damaged"),
        (png_header(10, 10, color=5), "cover_damaged"),
        (png_header(0, 10), "cover_dimensions"),
        (png_header(10, 10_001), "cover_dimensions"),
        (JPEG_START, "cover_damaged"),
        (JPEG_START + jpeg_frame(10, 10)[:6], "cover_damaged"),
        (JPEG_START + b"\xff\xda\x00\x08" + jpeg_frame(10, 10), "cover_damaged"),
        (JPEG_START + b"\xff\xe1\x00\x00" + jpeg_frame(10, 10), "cover_damaged"),
        (JPEG_START + b"\xff\xe1\xff\xff", "cover_damaged"),
        (JPEG_START + b"\xff" * 5_000, "cover_damaged"),
        (JPEG_START + jpeg_frame(0, 10), "cover_dimensions"),
        (png() + bytes(MAX_COVER_BYTES), "cover_too_large"),
    ],
)
def test_what_cannot_be_a_cover_is_refused_by_name(data: bytes, code: str) -> None:
    with pytest.raises(InvalidCoverError) as caught:
        examine_cover(data)
    assert [fault.code for fault in caught.value.faults] == [code]


def test_no_byte_of_a_header_breaks_the_reader() -> None:
    codes = set()
    for picture in (png(), jpeg()):
        for place in range(min(len(picture), 200)):
            for value in (0, 1, 0x7F, 0xFF):
                changed = picture[:place] + bytes([value]) + picture[place + 1 :]
                try:
                    examine_cover(changed)
                except InvalidCoverError as error:
                    codes.add(error.faults[0].code)
    assert codes == {"cover_format", "cover_damaged", "cover_dimensions"}


class Store:
    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}

    def put(self, key: str, data: bytes, content_type: str) -> None:
        self.objects[key] = (data, content_type)

    def exists(self, key: str) -> bool:
        return key in self.objects


def test_a_cover_is_stored_under_its_content() -> None:
    store = Store()
    sha256 = add_cover(store, png())  # type: ignore[arg-type]
    assert sha256 == hashlib.sha256(png()).hexdigest()
    assert store.objects == {cover_key(sha256): (png(), "image/png")}


def test_a_cover_that_is_not_there_is_named() -> None:
    store = Store()
    sha256 = add_cover(store, png())  # type: ignore[arg-type]
    check_cover(store, sha256)  # type: ignore[arg-type]
    with pytest.raises(UnknownCoverError, match="0" * 64) as caught:
        check_cover(store, "0" * 64)  # type: ignore[arg-type]
    assert caught.value.code == "cover_unknown"


def test_nothing_is_stored_of_what_is_refused() -> None:
    store = Store()
    with pytest.raises(InvalidCoverError):
        add_cover(store, b"no picture")  # type: ignore[arg-type]
    assert not store.objects
