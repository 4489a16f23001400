"""Small pictures that real programs can show, and headers of ones that nobody should."""

from __future__ import annotations

import io
import struct
import zlib

import av
import numpy as np


def png(width: int = 6, height: int = 4) -> bytes:
    rows = b"".join(b"\0" + bytes([200, 30, 30]) * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def jpeg(width: int = 16, height: int = 8) -> bytes:
    """Return a file by FFmpeg's encoder."""
    file = io.BytesIO()
    with av.open(file, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1, options={"strict": "unofficial"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p"
        pixels = np.full((height, width, 3), 90, np.uint8)
        for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
            container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return file.getvalue()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
