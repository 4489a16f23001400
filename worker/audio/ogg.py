"""Pages of an Ogg stream (RFC 3533). Knows nothing of what the packets hold."""

from __future__ import annotations

import struct
import zlib
from typing import Final

#: Flags of a page.
_CONTINUED: Final = 0b001
FIRST: Final = 0b010
LAST: Final = 0b100

#: Lacing values in a page; each stands for up to 255 bytes of a packet.
_MAX_LACING: Final = 255
#: Position of a page in which no packet ends.
_NOTHING_ENDS: Final = -1
_CHECKSUM: Final = slice(22, 26)

#: Each byte with its bits in reverse order: Ogg's checksum is that of zlib, read from the other end of each byte.
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_NO_BITS: Final = 0xFFFF_FFFF


class OggStream:
    """Numbers the pages of one stream."""

    def __init__(self, serial: int) -> None:
        self._serial = serial
        self._num_pages = 0

    def page(self, packets: list[bytes], position: int, flags: int = 0) -> bytes:
        """Return a page with these whole packets.

        Args:
            packets: together at most 255 lacing values, one for each 255 bytes of a packet and one for its end.
            position: the stream's position where the last packet ends, in the codec's own unit.
            flags: `FIRST`, `LAST`, or both.
        """
        lacing = b"".join(_lacing(len(packet)) for packet in packets)
        return self._page(lacing, b"".join(packets), position, flags)

    def paged(self, packet: bytes) -> bytes:
        """Return a packet of any length at position 0, over as many pages as it takes."""
        lacing = _lacing(len(packet))
        pages = []
        for start in range(0, len(lacing), _MAX_LACING):
            of_page = lacing[start : start + _MAX_LACING]
            is_end = start + _MAX_LACING >= len(lacing)
            body = packet[start * 255 : start * 255 + sum(of_page)]
            pages.append(self._page(of_page, body, 0 if is_end else _NOTHING_ENDS, _CONTINUED if start else 0))
        return b"".join(pages)

    def _page(self, lacing: bytes, body: bytes, position: int, flags: int) -> bytes:
        assert len(lacing) <= _MAX_LACING
        header = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, position, self._serial, self._num_pages, 0, len(lacing))
        self._num_pages += 1
        page = bytearray(header + lacing + body)
        page[_CHECKSUM] = struct.pack("<I", checksum(page))
        return bytes(page)


def checksum(page: bytes | bytearray) -> int:
    """Return Ogg's checksum: the polynomial of zlib's CRC-32, highest bit first, without its two inversions."""
    reversed_crc = zlib.crc32(page.translate(_REVERSED), _NO_BITS) ^ _NO_BITS
    return int(f"{reversed_crc:032b}"[::-1], 2)


def _lacing(num_bytes: int) -> bytes:
    """Return 255 for each full 255 bytes and then the rest, which ends the packet even if it is 0."""
    return b"\xff" * (num_bytes // 255) + bytes([num_bytes % 255])
