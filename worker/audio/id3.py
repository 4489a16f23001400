"""An ID3v2.4 tag with chapters, as it stands in front of the first mp3 frame. Knows nothing of the frames.

The frames are those of id3.org's "ID3 tag version 2.4.0" and of its "Chapter Frame Addendum" (CHAP and CTOC).
"""

from __future__ import annotations

import struct
from typing import Final

from producer.contract.cover import examine_cover
from worker.audio.iso639 import three_letters
from worker.audio.provenance import DIGITAL_SOURCE_TYPE, SOURCE_TYPE_FIELD, software, statement, xmp_packet
from worker.audio.tags import ChapterSpan, Tags

_UTF_8: Final = b"\x03"
_FRONT_COVER: Final = b"\x03"
#: A table of contents has one byte for the number of its entries; longer ones are tables of tables.
_MAX_ENTRIES: Final = 255
_TOP_LEVEL: Final = 0b10
_ORDERED: Final = 0b01
#: "Use the times": a chapter's place in bytes is not given.
_NO_OFFSET: Final = 0xFFFF_FFFF


def id3_tag(tags: Tags, sample_rate_hz: int, total_samples: int) -> bytes:
    """Return the whole tag."""
    texts = [
        (b"TIT2", tags.title),
        (b"TPE1", tags.author),
        (b"TALB", tags.album),
        (b"TCON", tags.genre),
        (b"TLAN", three_letters(tags.language) if tags.language else None),
        (b"TRCK", "/".join(map(str, tags.track)) if tags.track else None),
        (b"TSSE", software(tags)),
    ]
    frames = [_text(name, value) for name, value in texts if value is not None]
    frames.append(_frame(b"COMM", _UTF_8 + b"eng" + b"\0" + _encoded(statement(tags))))
    frames.append(_frame(b"TXXX", _UTF_8 + _encoded(SOURCE_TYPE_FIELD) + b"\0" + _encoded(DIGITAL_SOURCE_TYPE)))
    frames.append(_frame(b"PRIV", b"XMP\0" + xmp_packet(tags)))
    frames += _chapters(tags.spans(total_samples), sample_rate_hz)
    if tags.cover is not None:
        media_type = examine_cover(tags.cover).media_type.encode()
        frames.append(_frame(b"APIC", _UTF_8 + media_type + b"\0" + _FRONT_COVER + b"\0" + tags.cover))
    body = b"".join(frames)
    return b"ID3\x04\x00\x00" + _seven_bits(len(body)) + body


def _chapters(spans: tuple[ChapterSpan, ...], rate_hz: int) -> list[bytes]:
    """Return the chapters after their table of contents."""
    if not spans:
        return []
    elements = [b"chp%d" % number for number in range(len(spans))]
    chapters = []
    for element, span in zip(elements, spans, strict=True):
        times_ms = [round(samples * 1_000 / rate_hz) for samples in (span.start_samples, span.end_samples)]
        place = struct.pack(">IIII", *times_ms, _NO_OFFSET, _NO_OFFSET)
        chapters.append(_frame(b"CHAP", element + b"\0" + place + _text(b"TIT2", span.title)))
    if len(elements) <= _MAX_ENTRIES:
        return [_contents(b"toc", _TOP_LEVEL, elements), *chapters]
    parts = [_contents(b"toc%d" % number, 0, part) for number, part in enumerate(_parts(elements))]
    top = _contents(b"toc", _TOP_LEVEL, [b"toc%d" % number for number in range(len(parts))])
    return [top, *parts, *chapters]


def _parts(elements: list[bytes]) -> list[list[bytes]]:
    return [elements[start : start + _MAX_ENTRIES] for start in range(0, len(elements), _MAX_ENTRIES)]


def _contents(element: bytes, flags: int, entries: list[bytes]) -> bytes:
    listed = b"".join(entry + b"\0" for entry in entries)
    return _frame(b"CTOC", element + b"\0" + bytes([flags | _ORDERED, len(entries)]) + listed)


def _text(name: bytes, value: str) -> bytes:
    return _frame(name, _UTF_8 + _encoded(value))


def _encoded(text: str) -> bytes:
    """Return UTF-8 without the NUL that would end the field."""
    return text.replace("\0", "").encode(errors="replace")


def _frame(name: bytes, body: bytes) -> bytes:
    return name + _seven_bits(len(body)) + bytes(2) + body


def _seven_bits(number: int) -> bytes:
    """Return 28 bits in four bytes whose highest bit is 0, so that no player takes a size for a frame."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
