"""A title as the three formats store it. Knows nothing of where it comes from."""

from __future__ import annotations

import struct
from typing import Final

_UTF_8: Final = b"\x03"
_VORBIS_COMMENT: Final = 4
_VENDOR: Final = b"chatterqueue"


def id3_title(title: str) -> bytes:
    """Return an ID3v2.4 tag, which stands in front of the first mp3 frame."""
    text = _UTF_8 + title.encode(errors="replace")
    frame = b"TIT2" + _seven_bits(len(text)) + bytes(2) + text
    return b"ID3\x04\x00\x00" + _seven_bits(len(frame)) + frame


def vorbis_title(title: str) -> bytes:
    """Return a FLAC metadata block, not marked as the last one."""
    comment = b"TITLE=" + title.encode(errors="replace")
    body = struct.pack("<I", len(_VENDOR)) + _VENDOR + struct.pack("<II", 1, len(comment)) + comment
    return bytes([_VORBIS_COMMENT]) + len(body).to_bytes(3, "big") + body


def riff_title(title: str) -> bytes:
    """Return a LIST chunk of a WAV file; its length is even, as RIFF wants it."""
    text = title.encode(errors="replace") + b"\0"
    text += b"\0" * (len(text) % 2)
    info = b"INFO" + struct.pack("<4sI", b"INAM", len(text)) + text
    return struct.pack("<4sI", b"LIST", len(info)) + info


def _seven_bits(number: int) -> bytes:
    """Return 28 bits in four bytes whose highest bit is 0, so that no player takes a size for a frame."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
