"""The header of a FLAC file: how long its audio is and what its writer says of it, without decoding any of it.

Knows nothing of where the file is kept. The format: RFC 9639, sections 6, 8.2 and 8.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Bytes from the begin of a file that `read_flac_header` needs: the magic word, one block header, STREAMINFO.
HEADER_BYTES: Final = 42

#: Bytes from the begin of a file that `read_flac_comment` needs to find what `worker.codec` wrote, and room to spare.
COMMENT_BYTES: Final = 4_096

_MAGIC: Final = b"fLaC"
_STREAMINFO_BYTES: Final = 34
_VORBIS_COMMENT: Final = 4
_LAST_BLOCK: Final = 0x80


@dataclass(frozen=True, slots=True)
class FlacHeader:
    """What STREAMINFO says of the audio."""

    sample_rate_hz: int
    num_channels: int
    #: 0 if the encoder did not know it; ours always does.
    num_samples: int


def read_flac_header(data: bytes) -> FlacHeader | None:
    """Return the header that a file begins with; None if it is no FLAC file.

    Args:
        data: the file's first `HEADER_BYTES` bytes, or more of it.
    """
    if len(data) < HEADER_BYTES or not data.startswith(_MAGIC):
        return None
    block_type = data[4] & 0x7F
    if block_type != 0 or int.from_bytes(data[5:8], "big") != _STREAMINFO_BYTES:
        return None
    # Behind block and frame sizes: 20 bits of rate, 3 of channels - 1, 5 of depth - 1, 36 of samples.
    packed = int.from_bytes(data[18:26], "big")
    return FlacHeader(
        sample_rate_hz=packed >> 44, num_channels=((packed >> 41) & 7) + 1, num_samples=packed & ((1 << 36) - 1)
    )


def read_flac_comment(data: bytes) -> str | None:
    """Return the field `COMMENT` of a FLAC file's tags; None if there is none, or if it lies behind what is there.

    Args:
        data: the file's first `COMMENT_BYTES` bytes, or more or less of it.
    """
    if not data.startswith(_MAGIC):
        return None
    at = len(_MAGIC)
    while at + 4 <= len(data):
        kind, length = data[at], int.from_bytes(data[at + 1 : at + 4], "big")
        block = data[at + 4 : at + 4 + length]
        if kind & 0x7F == _VORBIS_COMMENT:
            return _comment_among(block) if len(block) == length else None
        if kind & _LAST_BLOCK:
            return None
        at += 4 + length
    return None


def _comment_among(block: bytes) -> str | None:
    """Return the field of a Vorbis comment block: little-endian lengths, each before its bytes; the vendor first."""
    at = 4 + int.from_bytes(block[:4], "little")
    num_fields = int.from_bytes(block[at : at + 4], "little")
    at += 4
    for _ in range(num_fields):
        length = int.from_bytes(block[at : at + 4], "little")
        field = block[at + 4 : at + 4 + length]
        if len(field) != length or not field:
            return None
        name, _, value = field.partition(b"=")
        if name.upper() == b"COMMENT":
            return value.decode(errors="replace")
        at += 4 + length
    return None
