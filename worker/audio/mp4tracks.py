"""The tracks of an m4b: AAC, and the chapters' titles as text (ISO/IEC 14496-12; Apple's QuickTime File Format).

Knows nothing of tags, nor of where the samples come from. A "sample" of a track is one coded frame or one title. Times
are in samples of audio, so that nothing is rounded; only the titles' are in milliseconds, because each has 32 bits.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.audio.mp4box import box, descriptor, full_box

_IDENTITY: Final = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000)
#: Flags of a track: enabled, part of the movie.
_ENABLED, _IN_MOVIE = 0b01, 0b10
#: A box that counts in 32 bits has version 0, one in 64 bits version 1.
_MAX_32_BITS: Final = 2**32 - 1

#: Units of time in a second of the chapter track.
_TITLES_HZ: Final = 1_000

_AAC_OBJECT_TYPE: Final = 0x40
_AUDIO_STREAM: Final = 0x15
#: Bytes of one AAC frame at most, which is what a decoder has to buffer (ISO/IEC 14496-3, 4.5.3.1).
_AAC_BUFFER_BYTES: Final = 768


@dataclass(frozen=True, slots=True)
class Samples:
    """Where a track's samples lie in the file."""

    #: Bytes of each, [num_samples] uint32.
    sizes: NDArray[np.uint32]
    #: How many in a row last how long, in the track's unit of time.
    durations: tuple[tuple[int, int], ...]
    #: Samples that a player fetches at once.
    per_chunk: int
    #: Place of the first one in the file; the others follow it.
    offset: int

    @property
    def num_bytes(self) -> int:
        """Bytes of all of them."""
        return int(self.sizes.sum(dtype=np.int64))

    @property
    def duration(self) -> int:
        """Length of all of them."""
        return sum(count * duration for count, duration in self.durations)


def movie(rate_hz: int, duration: int, num_tracks: int, *parts: bytes) -> bytes:
    """Return the box `moov` around tracks and user data."""
    rest = struct.pack(">IH10x", 0x10000, 0x100) + _IDENTITY + bytes(24) + struct.pack(">I", num_tracks + 1)
    return box(b"moov", _timed(b"mvhd", duration, rest, before=struct.pack(">I", rate_hz)), *parts)


def audio_track(
    samples: Samples,
    *,
    rate_hz: int,
    priming: int,
    duration: int,
    language: str,
    bit_rate: int,
    config: bytes,
    has_text: bool,
) -> bytes:
    """Return the first track: AAC, mono.

    Args:
        samples: the coded frames.
        rate_hz: samples of audio per second.
        priming: samples that the decoder has to leave out in front.
        duration: samples that are heard.
        language: code of three letters.
        bit_rate: bits per second, on average.
        config: the codec's AudioSpecificConfig.
        has_text: whether the second track holds chapters.
    """
    edit = struct.pack(">IqqHH" if duration > _MAX_32_BITS else ">IIiHH", 1, duration, priming, 1, 0)
    edits = box(b"edts", full_box(b"elst", edit, version=int(duration > _MAX_32_BITS)))
    reference = box(b"tref", box(b"chap", struct.pack(">I", 2))) if has_text else b""
    buffer = _AAC_BUFFER_BYTES.to_bytes(3, "big")
    decoder = bytes([_AAC_OBJECT_TYPE, _AUDIO_STREAM]) + buffer + struct.pack(">II", bit_rate, bit_rate)
    stream = descriptor(3, bytes([0, 1, 0]), descriptor(4, decoder, descriptor(5, config)), descriptor(6, b"\x02"))
    entry = struct.pack(">6xH8xHH4xI", 1, 1, 16, rate_hz << 16)
    description = box(b"mp4a", entry, full_box(b"esds", stream))
    # Each frame needs the one before it to be decoded right, after a seek too.
    roll = full_box(b"sgpd", b"roll", struct.pack(">IIh", 2, 1, -1), version=1)
    roll += full_box(b"sbgp", b"roll", struct.pack(">III", 1, len(samples.sizes), 1))
    media = _media(samples, rate_hz, language, b"soun", full_box(b"smhd", bytes(4)), description, roll)
    return box(b"trak", _track_header(1, duration, _ENABLED | _IN_MOVIE, volume=0x100), edits, reference, media)


def chapter_track(samples: Samples, *, duration: int, language: str) -> bytes:
    """Return the second track: one title for each chapter, not shown as subtitles.

    Args:
        samples: the titles; their durations are in milliseconds.
        duration: samples of audio.
        language: code of three letters.
    """
    entry = struct.pack(">6xH", 1) + struct.pack(">II", 1, 0) + bytes(36)
    graphics = full_box(b"gmin", struct.pack(">HHHHHH", 0x40, 0x8000, 0x8000, 0x8000, 0, 0))
    header = box(b"gmhd", graphics, box(b"text", _IDENTITY))
    media = _media(samples, _TITLES_HZ, language, b"text", header, box(b"text", entry))
    return box(b"trak", _track_header(2, duration, _IN_MOVIE, volume=0), media)


def title_sample(title: str) -> bytes:
    """Return a chapter's title as the chapter track holds it, marked as UTF-8."""
    text = title.encode(errors="replace")[: 2**16 - 1].decode(errors="ignore").encode()
    return struct.pack(">H", len(text)) + text + box(b"encd", struct.pack(">I", 0x100))


def _media(
    samples: Samples,
    unit_hz: int,
    language: str,
    handler: bytes,
    header: bytes,
    description: bytes,
    groups: bytes = b"",
) -> bytes:
    # Five bits for each letter, counted from 0x60 on.
    code = (ord(language[0]) - 0x60) << 10 | (ord(language[1]) - 0x60) << 5 | (ord(language[2]) - 0x60)
    head = _timed(b"mdhd", samples.duration, struct.pack(">HH", code, 0), before=struct.pack(">I", unit_hz))
    handled = full_box(b"hdlr", bytes(4), handler, bytes(12), b"\0")
    source = box(b"dinf", full_box(b"dref", struct.pack(">I", 1), full_box(b"url ", flags=1)))
    table = box(b"stbl", full_box(b"stsd", struct.pack(">I", 1), description), *_sample_table(samples), groups)
    return box(b"mdia", head, handled, box(b"minf", header, source, table))


def _sample_table(samples: Samples) -> list[bytes]:
    """Return how long each sample is, in time and in bytes, and where each chunk of them begins."""
    times = b"".join(struct.pack(">II", count, duration) for count, duration in samples.durations)
    num_samples, rest = len(samples.sizes), len(samples.sizes) % samples.per_chunk
    num_chunks = -(-num_samples // samples.per_chunk)
    runs = [(1, samples.per_chunk, 1)] if num_samples >= samples.per_chunk else []
    runs += [(num_chunks, rest, 1)] if rest else []
    ends = np.cumsum(samples.sizes, dtype=np.int64)
    starts = samples.offset + np.concatenate([[0], ends[samples.per_chunk - 1 : -1 : samples.per_chunk]])
    is_wide = samples.offset + samples.num_bytes > _MAX_32_BITS
    places = starts.astype(">u8" if is_wide else ">u4").tobytes()
    return [
        full_box(b"stts", struct.pack(">I", len(samples.durations)), times),
        full_box(b"stsc", struct.pack(">I", len(runs)), *(struct.pack(">III", *run) for run in runs)),
        full_box(b"stsz", struct.pack(">II", 0, num_samples), samples.sizes.astype(">u4").tobytes()),
        full_box(b"co64" if is_wide else b"stco", struct.pack(">I", num_chunks), places),
    ]


def _track_header(track_id: int, duration: int, flags: int, *, volume: int) -> bytes:
    rest = struct.pack(">8xHHHH", 0, 0, volume, 0) + _IDENTITY + bytes(8)
    return _timed(b"tkhd", duration, rest, before=struct.pack(">I4x", track_id), flags=flags)


def _timed(kind: bytes, duration: int, rest: bytes, *, before: bytes, flags: int = 0) -> bytes:
    """Return a box with two dates, which stay unknown, and a duration."""
    if duration > _MAX_32_BITS:
        return full_box(kind, bytes(16), before, struct.pack(">Q", duration), rest, version=1, flags=flags)
    return full_box(kind, bytes(8), before, struct.pack(">I", duration), rest, flags=flags)
