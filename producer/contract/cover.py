"""What a cover may be: a JPEG or PNG file, told by its first bytes. Knows nothing of where it lies.

Nothing is decoded: only the header is read, so that a hostile picture can do no harm here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from producer.contract.errors import InvalidCoverError

#: Bytes of a cover. Shops ask for 3,000 x 3,000 pixels, which is 1 to 3 MiB as a JPEG; players read it whole.
MAX_COVER_BYTES: Final = 5 * 1024 * 1024
#: Pixels along either side; four times what shops ask for would take players a gigabyte to show.
MAX_COVER_PIXELS: Final = 10_000

_PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC: Final = b"\xff\xd8\xff"
#: JPEG markers that begin a frame and give its size (ITU-T T.81, table B.1): all of C0 to CF but DHT, JPG and DAC.
_FRAME_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Markers without a length behind them: TEM, RST0 to RST7.
_BARE_MARKERS: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_START_OF_SCAN: Final = 0xDA
_END_OF_IMAGE: Final = 0xD9


@dataclass(frozen=True, slots=True)
class CoverFacts:
    """What the header of a picture says."""

    media_type: str
    width_pixels: int
    height_pixels: int
    #: Bits of one pixel, over all channels.
    depth_bits: int


def examine_cover(data: bytes) -> CoverFacts:
    """Return what a picture's header says.

    Raises:
        InvalidCoverError: it is too large, no JPEG or PNG, or its header is broken.
    """
    if len(data) > MAX_COVER_BYTES:
        raise _refusal("cover_too_large", f"is {len(data) / 2**20:.1f} MiB; {MAX_COVER_BYTES // 2**20} MiB are allowed")
    if data.startswith(_PNG_MAGIC):
        facts = _png(data)
    elif data.startswith(_JPEG_MAGIC):
        facts = _jpeg(data)
    else:
        raise _refusal("cover_format", "is neither a JPEG nor a PNG file")
    if facts is None:
        raise _refusal("cover_damaged", "has a header that cannot be read")
    if not (0 < facts.width_pixels <= MAX_COVER_PIXELS and 0 < facts.height_pixels <= MAX_COVER_PIXELS):
        size = f"{facts.width_pixels} x {facts.height_pixels}"
        raise _refusal("cover_dimensions", f"has {size} pixels; each side takes 1 to {MAX_COVER_PIXELS:,}")
    return facts


def _png(data: bytes) -> CoverFacts | None:
    """Read IHDR, which comes first (PNG specification, 11.2.1)."""
    if len(data) < 33 or data[8:16] != b"\0\0\0\rIHDR":
        return None
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(data[25])
    if channels is None:
        return None
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return CoverFacts("image/png", width, height, data[24] * channels)


def _jpeg(data: bytes) -> CoverFacts | None:
    """Go from marker to marker until one begins a frame; each tells the length of what follows it."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF or marker in _BARE_MARKERS:
            position += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAME_MARKERS:
            return _jpeg_frame(data[position + 4 : position + 10])
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if marker in {_START_OF_SCAN, _END_OF_IMAGE} or length < 2:
            return None
        position += 2 + length
    return None


def _jpeg_frame(frame: bytes) -> CoverFacts | None:
    if len(frame) < 6:
        return None
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    return CoverFacts("image/jpeg", width, height, frame[0] * frame[5])


def _refusal(code: str, message: str) -> InvalidCoverError:
    return InvalidCoverError([{"code": code, "field": "cover", "message": message, "line": None}])
