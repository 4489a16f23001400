"""What an m4b says about itself: Apple's list of metadata, Nero's list of chapters, an XMP packet.

Knows nothing of tracks. FFmpeg's, iTunes' and mp4v2's files were the models for what is written down nowhere.
"""

from __future__ import annotations

import struct
from typing import Final
from uuid import UUID

from producer.contract.cover import examine_cover
from worker.audio.mp4box import box, full_box
from worker.audio.provenance import DIGITAL_SOURCE_TYPE, SOURCE_TYPE_FIELD, software, statement, xmp_packet
from worker.audio.tags import ChapterSpan, Tags

#: Types of values.
_BINARY, _TEXT, _JPEG, _PNG, _INTEGER = 0, 1, 13, 14, 21
#: iTunes' kind of medium that goes to the shelf of books.
_AUDIOBOOK: Final = 2

_XMP_UUID: Final = UUID("be7acfcb-97a9-42e8-9c71-999491e3afac")

#: One byte holds the number of Nero's chapters, and one the length of a title.
_MAX_NERO_CHAPTERS: Final = 255
_MAX_NERO_TITLE_BYTES: Final = 255
_NERO_HZ: Final = 10_000_000


def user_data(tags: Tags, spans: tuple[ChapterSpan, ...], sample_rate_hz: int, *, priming: int, total: int) -> bytes:
    """Return the box `udta`.

    Args:
        tags: what to write.
        spans: the chapters.
        sample_rate_hz: unit of the spans.
        priming: samples in front that nobody is to hear.
        total: samples after them.
    """
    # What iTunes reads instead of the edit list: encoder delay, padding, and length; the other fields are unused.
    gapless = f" 00000000 {priming:08X} {0:08X} {total:016X}" + " 00000000" * 8
    handler = full_box(b"hdlr", bytes(4), b"mdir", b"appl", bytes(9))
    listed = box(b"ilst", *_texts(tags), *_values(tags), _free_form("iTunSMPB", gapless))
    parts = [full_box(b"meta", handler, listed)]
    # A list that ends in the middle would be worse than none: the chapter track has all of them.
    if 0 < len(spans) <= _MAX_NERO_CHAPTERS:
        parts.append(_nero_chapters(spans, sample_rate_hz))
    return box(b"udta", *parts)


def xmp_box(tags: Tags) -> bytes:
    """Return the box in which XMP packets stand in an MP4 file."""
    return box(b"uuid", _XMP_UUID.bytes, xmp_packet(tags))


def _texts(tags: Tags) -> list[bytes]:
    values = [
        (b"\xa9nam", tags.title),
        (b"\xa9ART", tags.author),
        (b"aART", tags.author),
        (b"\xa9alb", tags.album),
        (b"\xa9gen", tags.genre),
        (b"\xa9cmt", statement(tags)),
        (b"\xa9too", software(tags)),
    ]
    return [box(name, _data(_TEXT, value.encode(errors="replace"))) for name, value in values if value is not None]


def _values(tags: Tags) -> list[bytes]:
    boxes = [box(b"stik", _data(_INTEGER, bytes([_AUDIOBOOK])))]
    if tags.track is not None:
        boxes.append(box(b"trkn", _data(_BINARY, struct.pack(">HHHH", 0, *tags.track, 0))))
    if tags.cover is not None:
        kind = _PNG if examine_cover(tags.cover).media_type == "image/png" else _JPEG
        boxes.append(box(b"covr", _data(kind, tags.cover)))
    boxes.append(_free_form(SOURCE_TYPE_FIELD, DIGITAL_SOURCE_TYPE))
    return boxes


def _free_form(name: str, value: str) -> bytes:
    """Return a field under a name of our own, in the name space that every player reads."""
    mean = full_box(b"mean", b"com.apple.iTunes")
    return box(b"----", mean, full_box(b"name", name.encode()), _data(_TEXT, value.encode()))


def _data(kind: int, value: bytes) -> bytes:
    return full_box(b"data", bytes(4), value, flags=kind)


def _nero_chapters(spans: tuple[ChapterSpan, ...], rate_hz: int) -> bytes:
    entries = []
    for span in spans:
        title = span.title.encode(errors="replace")[:_MAX_NERO_TITLE_BYTES].decode(errors="ignore").encode()
        entries.append(struct.pack(">QB", span.start_samples * _NERO_HZ // rate_hz, len(title)) + title)
    return full_box(b"chpl", bytes(4), bytes([len(spans)]), *entries, version=1)
