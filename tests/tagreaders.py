"""Readers of our own for what stands in mp3, MP4 and Ogg files, written from the specifications, not from the writers.

FFmpeg forgives a lot; these do not: lengths have to add up, and checksums have to be right.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field


@dataclass
class Box:
    """One box of an MP4 file."""

    kind: bytes
    #: Place of the content in the file.
    offset: int
    content: bytes
    children: list[Box] = field(default_factory=list)

    def all(self, *path: bytes) -> list[Box]:
        found = [child for child in self.children if child.kind == path[0]]
        return found if len(path) == 1 else [box for child in found for box in child.all(*path[1:])]

    def one(self, *path: bytes) -> Box:
        (found,) = self.all(*path)
        return found


#: Boxes made of boxes -> bytes in front of the first one.
_CONTAINERS = {
    b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"udta": 0, b"edts": 0, b"tref": 0, b"dinf": 0,
    b"ilst": 0, b"----": 0, b"covr": 0, b"stik": 0, b"trkn": 0, b"\xa9nam": 0, b"\xa9ART": 0, b"aART": 0,
    b"\xa9alb": 0, b"\xa9gen": 0, b"\xa9cmt": 0, b"\xa9too": 0, b"meta": 4, b"stsd": 8, b"dref": 8, b"gmhd": 0,
}  # fmt: skip


def mp4(data: bytes) -> Box:
    """Return a file's boxes under one root."""
    return Box(b"", 0, data, _boxes(data, 0, len(data)))


def _boxes(data: bytes, start: int, end: int) -> list[Box]:
    found = []
    while start < end:
        length, kind = struct.unpack_from(">I4s", data, start)
        header = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start + 8)
            header = 16
        assert header <= length <= end - start, f"{kind!r} is longer than what it stands in"
        inside = start + header
        box = Box(kind, inside, data[inside : start + length])
        if kind in _CONTAINERS:
            box.children = _boxes(data, inside + _CONTAINERS[kind], start + length)
        found.append(box)
        start += length
    return found


def mp4_samples(data: bytes, track: Box) -> list[tuple[int, bytes]]:
    """Return every sample of a track: how long it lasts, and its bytes, found by its sample table."""
    table = track.one(b"mdia", b"minf", b"stbl")
    times = table.one(b"stts").content[8:]
    durations = [delta for count, delta in struct.iter_unpack(">II", times) for _ in range(count)]
    sizes = [size for (size,) in struct.iter_unpack(">I", table.one(b"stsz").content[12:])]
    wide = table.all(b"co64")
    places = struct.iter_unpack(">Q" if wide else ">I", (wide or table.all(b"stco"))[0].content[8:])
    runs = list(struct.iter_unpack(">III", table.one(b"stsc").content[8:]))
    found: list[tuple[int, bytes]] = []
    for chunk, (place,) in enumerate(places, start=1):
        per_chunk = [count for first, count, _ in runs if first <= chunk][-1]
        for _ in range(per_chunk):
            number = len(found)
            found.append((durations[number], data[place : place + sizes[number]]))
            place += sizes[number]
    assert len(found) == len(sizes) == len(durations)
    return found


def id3(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the frames of a file's ID3v2.4 tag."""
    assert data[:6] == b"ID3\x04\x00\x00"
    end = 10 + _synchsafe(data[6:10])
    assert data[end] == 0xFF, "the tag is followed by the first mp3 frame"
    return id3_frames(data[10:end])


def id3_frames(data: bytes) -> list[tuple[bytes, bytes]]:
    found, position = [], 0
    while position < len(data):
        size = _synchsafe(data[position + 4 : position + 8])
        assert data[position + 8 : position + 10] == b"\0\0"
        found.append((data[position : position + 4], data[position + 10 : position + 10 + size]))
        position += 10 + size
    assert position == len(data)
    return found


def id3_chapter(body: bytes) -> tuple[str, int, int, str]:
    """Return a chapter's element, its begin and end in milliseconds, and its title."""
    element, rest = body.split(b"\0", 1)
    start_ms, end_ms, *offsets = struct.unpack(">IIII", rest[:16])
    assert offsets == [0xFFFF_FFFF] * 2
    ((kind, title),) = id3_frames(rest[16:])
    assert (kind, title[:1]) == (b"TIT2", b"\x03")
    return element.decode(), start_ms, end_ms, title[1:].decode()


def id3_contents(body: bytes) -> tuple[str, int, list[str]]:
    """Return a table's element, its flags and its entries."""
    element, rest = body.split(b"\0", 1)
    entries = rest[2:].split(b"\0")
    assert entries.pop() == b""
    assert len(entries) == rest[1]
    return element.decode(), rest[0], [entry.decode() for entry in entries]


def _synchsafe(four: bytes) -> int:
    assert max(four) < 0x80
    return four[0] << 21 | four[1] << 14 | four[2] << 7 | four[3]


@dataclass
class Page:
    """One page of an Ogg file."""

    flags: int
    position: int
    serial: int
    number: int
    lacing: bytes
    body: bytes


def ogg(data: bytes) -> tuple[list[Page], list[bytes]]:
    """Return a file's pages and its packets."""
    pages, packets, unfinished, place = [], [], b"", 0
    while place < len(data):
        magic, version, flags, position, serial, number, checksum, num_lacing = struct.unpack_from(
            "<4sBBqIIIB", data, place
        )
        lacing = data[place + 27 : place + 27 + num_lacing]
        end = place + 27 + num_lacing + sum(lacing)
        assert (magic, version) == (b"OggS", 0)
        assert end <= len(data)
        assert checksum == _ogg_crc(data[place : place + 22] + bytes(4) + data[place + 26 : end])
        assert bool(flags & 1) == bool(unfinished)
        start = place + 27 + num_lacing
        pages.append(Page(flags, position, serial, number, lacing, data[start:end]))
        for length in lacing:
            unfinished += data[start : start + length]
            start += length
            if length < 255:
                packets.append(unfinished)
                unfinished = b""
        place = end
    assert not unfinished
    return pages, packets


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = value << 1 ^ (0x04C11DB7 if value & 0x8000_0000 else 0)
        table.append(value & 0xFFFF_FFFF)
    return table


_CRC_TABLE = _crc_table()


def _ogg_crc(data: bytes) -> int:
    """Return the checksum of RFC 3533, 6: polynomial 0x04c11db7, highest bit first, nothing inverted."""
    value = 0
    for byte in data:
        value = value << 8 & 0xFFFF_FFFF ^ _CRC_TABLE[value >> 24 ^ byte]
    return value


def vorbis_comments(block: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Return the vendor and the fields of a comment block, of which nothing may be left over."""
    texts, position = [], 0

    def text() -> str:
        nonlocal position
        (length,) = struct.unpack_from("<I", block, position)
        position += 4 + length
        assert position <= len(block)
        return block[position - length : position].decode()

    vendor = text()
    (count,) = struct.unpack_from("<I", block, position)
    position += 4
    texts = [text() for _ in range(count)]
    assert position == len(block)
    return vendor, [(name, value) for name, _, value in (each.partition("=") for each in texts)]
