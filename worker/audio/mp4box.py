"""Boxes, of which an MP4 file is made (ISO/IEC 14496-12, 4.2). Knows nothing of what is in them."""

from __future__ import annotations

import struct


def box(kind: bytes, *parts: bytes) -> bytes:
    """Return a box: its length, its type of four letters, its content."""
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full_box(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    """Return a box with a version and 24 flags in front of its content."""
    return box(kind, (version << 24 | flags).to_bytes(4, "big"), *parts)


def descriptor(tag: int, *parts: bytes) -> bytes:
    """Return a descriptor (ISO/IEC 14496-1, 8.3.3), its length in four bytes of seven bits as most writers have it."""
    content = b"".join(parts)
    length = bytes(0x80 | len(content) >> shift & 0x7F for shift in (21, 14, 7)) + bytes([len(content) & 0x7F])
    return bytes([tag]) + length + content
