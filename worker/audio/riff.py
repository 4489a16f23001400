"""What a WAV file says about itself: an INFO list, and an XMP packet. Knows nothing of samples."""

from __future__ import annotations

import struct

from worker.audio.provenance import software, statement, xmp_packet
from worker.audio.tags import Tags


def riff_tags(tags: Tags) -> bytes:
    """Return the chunks; each has an even length, as RIFF wants it. There is no place for a cover."""
    fields = [
        (b"INAM", tags.title),
        (b"IART", tags.author),
        (b"IPRD", tags.album),
        (b"IGNR", tags.genre),
        (b"ILNG", tags.language),
        (b"ITRK", str(tags.track[0]) if tags.track else None),
        (b"ICMT", statement(tags)),
        (b"ISFT", software(tags)),
    ]
    texts = b"".join(
        _chunk(name, value.replace("\0", "").encode(errors="replace") + b"\0")
        for name, value in fields
        if value is not None
    )
    return _chunk(b"LIST", b"INFO" + texts) + _chunk(b"_PMX", xmp_packet(tags))


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body + b"\0" * (len(body) % 2)
