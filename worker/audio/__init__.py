"""From takes to one audio file: segments stored and read, pauses, encoders, assembly. Knows nothing of engines."""

from __future__ import annotations

from worker.audio.assembly import Assembly, assemble
from worker.audio.segment import decode_segment, encode_segment
from worker.audio.tags import ChapterMark, Tags
from worker.audio.writer import AudioWriter, content_type, open_writer

__all__ = [
    "Assembly",
    "AudioWriter",
    "ChapterMark",
    "Tags",
    "assemble",
    "content_type",
    "decode_segment",
    "encode_segment",
    "open_writer",
]
