"""Ogg pages as RFC 3533 and RFC 7845 want them."""

from __future__ import annotations

import zlib

import pytest
import tagreaders
from audiofiles import RATE_HZ, speech_like, written
from pictures import png

from producer.contract.narration import AudioFormat
from worker.audio import Tags
from worker.audio.ogg import FIRST, LAST, OggStream, checksum


@pytest.mark.parametrize("length", [0, 1, 254, 255, 256, 510, 65_024, 65_025, 65_026, 200_000])
def test_a_packet_of_any_length_comes_back(length: int) -> None:
    packet = bytes(number % 251 for number in range(length))
    stream = OggStream(7)
    pages, packets = tagreaders.ogg(stream.page([b"head"], 0, FIRST) + stream.paged(packet))
    assert packets == [b"head", packet]
    assert [page.number for page in pages] == list(range(len(pages)))
    # A page in which no packet ends has no position.
    assert [page.position for page in pages] == [0] + [-1] * (len(pages) - 2) + [0]


def test_the_checksum_is_not_that_of_zlib() -> None:
    assert checksum(b"123456789") == tagreaders._ogg_crc(b"123456789") == 0x89A1897F != zlib.crc32(b"123456789")


@pytest.mark.parametrize("num_samples", [100, 480, 24_000, 19_200 - 156, 100_001])
def test_positions_say_where_each_page_and_the_sound_end(num_samples: int) -> None:
    pages, packets = tagreaders.ogg(written(AudioFormat.OPUS, speech_like(num_samples)))
    head, audio = packets[0], pages[2:]
    pre_skip = int.from_bytes(head[10:12], "little")
    assert head[:8] == b"OpusHead"
    assert pages[0].flags == FIRST
    assert [page.flags for page in audio] == [0] * (len(audio) - 1) + [LAST]
    assert len({page.serial for page in pages}) == 1
    assert all(len(page.lacing) <= 40 for page in audio)
    # 960 samples at 48 kHz in each packet; the last page cuts off what fills up the last one.
    ended = 0
    for page in audio[:-1]:
        ended += 960 * sum(length < 255 for length in page.lacing)
        assert page.position == ended
    end = pre_skip + num_samples * 48_000 // RATE_HZ
    assert audio[-1].position == end > ended
    assert 0 <= 960 * (len(packets) - 2) - end < 960


def test_a_large_cover_takes_many_pages() -> None:
    cover = png() + bytes(300_000)
    pages, packets = tagreaders.ogg(written(AudioFormat.OPUS, speech_like(2_000), tags=Tags(cover=cover)))
    assert len(packets[1]) > 400_000
    assert sum(page.flags & 1 for page in pages) == -(-len(packets[1]) // 65_025) - 1
