"""Vorbis comments and pictures, as FLAC (RFC 9639, 8.6 and 8.8) and Opus (RFC 7845, 5.2) share them.

Knows nothing of what they stand in.
"""

from __future__ import annotations

import struct
from typing import Final

from producer.contract.cover import examine_cover
from worker.audio.provenance import DIGITAL_SOURCE_TYPE, SOFTWARE, SOURCE_TYPE_FIELD, software, statement
from worker.audio.tags import Tags

_FRONT_COVER: Final = 3
#: Players know CHAPTER000 to CHAPTER999; a fourth digit makes it another field.
_MAX_CHAPTERS: Final = 1_000


def comments(tags: Tags, sample_rate_hz: int, total_samples: int) -> list[tuple[str, str]]:
    """Return names and values, in the order in which they are written."""
    track, num_tracks = tags.track or (None, None)
    fields = [
        ("TITLE", tags.title),
        ("ARTIST", tags.author),
        ("ALBUM", tags.album),
        ("GENRE", tags.genre),
        ("LANGUAGE", tags.language),
        ("TRACKNUMBER", track),
        ("TRACKTOTAL", num_tracks),
        ("COMMENT", statement(tags)),
        (SOURCE_TYPE_FIELD.upper(), DIGITAL_SOURCE_TYPE),
        ("ENCODER", software(tags)),
    ]
    found = [(name, str(value)) for name, value in fields if value is not None]
    for number, span in enumerate(tags.spans(total_samples)[:_MAX_CHAPTERS]):
        found.append((f"CHAPTER{number:03d}", _clock(span.start_samples, sample_rate_hz)))
        found.append((f"CHAPTER{number:03d}NAME", span.title))
    return found


def comment_block(fields: list[tuple[str, str]]) -> bytes:
    """Return the fields as both formats store them: lengths in little-endian, text in UTF-8."""
    vendor = SOFTWARE.encode()
    block = struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(fields))
    for name, value in fields:
        comment = f"{name}={value}".encode(errors="replace")
        block += struct.pack("<I", len(comment)) + comment
    return block


def picture_block(cover: bytes) -> bytes:
    """Return a cover as FLAC stores it, with its size in pixels; lengths in big-endian."""
    facts = examine_cover(cover)
    media_type = facts.media_type.encode()
    return (
        struct.pack(">II", _FRONT_COVER, len(media_type))
        + media_type
        + struct.pack(">IIIIII", 0, facts.width_pixels, facts.height_pixels, facts.depth_bits, 0, len(cover))
        + cover
    )


def _clock(samples: int, sample_rate_hz: int) -> str:
    """Return a time to the millisecond, as `CHAPTERxxx` wants it."""
    seconds, milliseconds = divmod(round(samples * 1_000 / sample_rate_hz), 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{milliseconds:03d}"
