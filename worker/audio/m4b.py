"""AAC in an MP4 file as audiobook players want it (`.m4b`), with its table of contents in front. Knows no segments.

The table holds the size and place of every frame, so it can only be written when the last frame is coded. The frames
wait in a temporary file (288 MB for ten hours) and then follow the table: a player can begin while it downloads.
FFmpeg's own writer would need a file that it can seek in, write everything twice, and have no place for some tags.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from producer.contract.cover import examine_cover
from worker.audio.codec import PacketEncoder
from worker.audio.iso639 import three_letters
from worker.audio.mp4box import box
from worker.audio.mp4tags import user_data, xmp_box
from worker.audio.mp4tracks import Samples, audio_track, chapter_track, movie, title_sample
from worker.audio.spool import Spool
from worker.audio.tags import NO_TAGS, Tags
from worker.errors import AssemblyError

#: Bits per second, on average. Measured on speech at 24 kHz: 27 dB above the noise below 4 kHz, 9 dB up to 8 kHz, 7 dB
#: above, which mp3 has at the same rate; at 48 kbit/s 4 dB less everywhere.
BIT_RATE: Final = 64_000

#: FFmpeg's quick search for quantizers: 340 x real time, where its thorough one ("twoloop") takes three times as long
#: and came out 1 dB worse below 4 kHz and 1 dB better above 8 kHz. PyAV's wheels have no other AAC encoder.
_OPTIONS: Final = {"aac_coder": "fast"}

_RATES_HZ: Final = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
#: Samples of silence that FFmpeg's AAC encoder puts in front of the sound: one frame.
_ENCODER_DELAY_SAMPLES: Final = 1_024

#: Frames that a player fetches at once: about a second at 24 kHz.
_CHUNK_FRAMES: Final = 24
#: How much more than its bit rate the encoder may take, over the whole of a file.
_BIT_RATE_SLACK: Final = 1.1

_BRANDS: Final = (b"M4B ", bytes(4), b"M4B ", b"M4A ", b"mp42", b"isom")
_MAX_BOX_BYTES: Final = 2**32 - 1


class M4bEncoding:
    """Mono, average bit rate; holds a temporary file until it is flushed or discarded."""

    def __init__(self, sample_rate_hz: int, total_samples: int, tags: Tags = NO_TAGS) -> None:
        if sample_rate_hz not in _RATES_HZ:
            raise AssemblyError(f"m4b has no sample rate of {sample_rate_hz} Hz")
        self._rate_hz = sample_rate_hz
        self._total_samples = total_samples
        self._tags = tags
        self._spans = tags.spans(total_samples)
        if tags.cover is not None:
            examine_cover(tags.cover)  # a fault is found before hours have been encoded
        self._encoder = PacketEncoder("aac", "fltp", sample_rate_hz, bit_rate=BIT_RATE, options=_OPTIONS)
        self._sizes = array("I")
        # Players leave out what the edit list says in front of the sound; what fills up the last frame, FFmpeg and all
        # that is built on it play. So the silence comes first, as long as it takes for the sound to end with a frame.
        lead_samples = -total_samples % self._encoder.frame_samples
        self._priming_samples = _ENCODER_DELAY_SAMPLES + lead_samples
        expected_s = total_samples / sample_rate_hz
        self._spool = Spool(int(expected_s * BIT_RATE / 8 * _BIT_RATE_SLACK))
        self._keep(self._encoder.encode(np.zeros(lead_samples, np.int16)))

    def header(self) -> bytes:
        """Return nothing: what stands in front is only known at the end."""
        return b""

    def encode(self, pcm: NDArray[np.int16]) -> bytes:
        """Take samples; return nothing."""
        self._keep(self._encoder.encode(pcm))
        return b""

    def flush(self) -> Iterator[bytes]:
        """Yield the whole file, the table of contents first."""
        self._keep(self._encoder.flush())
        titles = [title_sample(span.title) for span in self._spans]
        media_bytes = sum(map(len, titles)) + sum(self._sizes)
        front = box(b"ftyp", *_BRANDS) + xmp_box(self._tags)
        media_header = struct.pack(">I4s", 8 + media_bytes, b"mdat")
        if 8 + media_bytes > _MAX_BOX_BYTES:
            media_header = struct.pack(">I4sQ", 1, b"mdat", 16 + media_bytes)
        table, length = b"", -1
        while len(table) != length:  # its length depends on the places in it only where they outgrow 32 bits
            length = len(table)
            table = self._table(titles, len(front) + length + len(media_header))
        yield front + table + media_header + b"".join(titles)
        yield from self._spool.blocks()

    def discard(self) -> None:
        """Remove the temporary file."""
        self._spool.close()

    def _keep(self, packets: list[bytes]) -> None:
        for packet in packets:
            self._sizes.append(len(packet))
            self._spool.write(packet)

    def _table(self, titles: list[bytes], offset: int) -> bytes:
        """Return the box `moov` of a file whose titles begin at `offset`, followed by the frames."""
        sound = self._sound_track(offset + sum(map(len, titles)), has_titles=bool(titles))
        tracks = [sound, self._title_track(titles, offset)] if titles else [sound]
        about = user_data(
            self._tags, self._spans, self._rate_hz, priming=self._priming_samples, total=self._total_samples
        )
        return movie(self._rate_hz, self._total_samples, len(tracks), *tracks, about)

    def _sound_track(self, offset: int, *, has_titles: bool) -> bytes:
        num_samples = len(self._sizes) * self._encoder.frame_samples
        surplus = num_samples - self._priming_samples - self._total_samples
        if surplus:
            raise AssemblyError(f"the AAC encoder made {surplus} samples more than it was given")
        durations = ((len(self._sizes), self._encoder.frame_samples),)
        frames = Samples(np.frombuffer(self._sizes, np.uint32), durations, _CHUNK_FRAMES, offset)
        return audio_track(
            frames,
            rate_hz=self._rate_hz,
            priming=self._priming_samples,
            duration=self._total_samples,
            language=three_letters(self._tags.language),
            bit_rate=round(frames.num_bytes * 8 * self._rate_hz / num_samples),
            config=self._encoder.extradata,
            has_text=has_titles,
        )

    def _title_track(self, titles: list[bytes], offset: int) -> bytes:
        sizes = np.array([len(title) for title in titles], np.uint32)
        edges = [*(span.start_samples for span in self._spans), self._total_samples]
        edges_ms = [round(edge * 1_000 / self._rate_hz) for edge in edges]
        durations = tuple((1, end - start) for start, end in pairwise(edges_ms))
        language = three_letters(self._tags.language)
        return chapter_track(Samples(sizes, durations, 1, offset), duration=self._total_samples, language=language)
