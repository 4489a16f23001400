"""The header of a FLAC file: how long its audio is, without decoding any of it.

Knows nothing of where the file is kept. The format: RFC 9639, sections 6 and 8.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Bytes from the begin of a file that `read_flac_header` needs: the magic word, one block header, STREAMINFO.
HEADER_BYTES: Final = 42

_MAGIC: Final = b"fLaC"
_STREAMINFO_BYTES: Final = 34


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
