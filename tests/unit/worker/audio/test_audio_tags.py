"""Tags, chapters and covers in every format, as FFmpeg shows them and as a second reader finds them.

The second reader is libsndfile for texts, and for the rest one of our own that forgives nothing.
"""

from __future__ import annotations

import io
import struct
from base64 import b64decode
from functools import cache
from xml.etree import ElementTree

import pytest
import soundfile
import tagreaders
from audiofiles import RATE_HZ, WriteOnly, seen, shown_cover, speech_like, written
from pictures import jpeg, png

from producer.contract.errors import InvalidCoverError
from producer.contract.languages import LANGUAGES
from producer.contract.narration import AudioFormat
from worker.audio import ChapterMark, Tags, open_writer
from worker.audio.id3 import id3_tag
from worker.audio.iso639 import three_letters
from worker.audio.provenance import DIGITAL_SOURCE_TYPE
from worker.errors import AssemblyError

BOOK = Tags(
    title="Der Leuchtturm, Teil ä 灯台",
    author="J. Hale & Söhne",
    album="Leuchttürme",
    language="de",
    track=(2, 12),
    chapters=(
        ChapterMark("Erstes: <Ä>", 0),
        ChapterMark("第二章", 3 * RATE_HZ),
        ChapterMark("of which nothing is heard", 4 * RATE_HZ),
        ChapterMark("=;#\n", 4 * RATE_HZ),
    ),
    engine="chatterbox-multilingual",
    is_watermarked=True,
)
SPANS = [(0.0, 3.0, "Erstes: <Ä>"), (3.0, 4.0, "第二章"), (4.0, 5.0, "=;#\n")]
PCM = speech_like(5 * RATE_HZ)
ALL = list(AudioFormat)
WITH_CHAPTERS = [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.M4B, AudioFormat.FLAC]
TEXTS = {"title": BOOK.title, "artist": BOOK.author, "album": BOOK.album, "genre": "Audiobook"}


@cache
def book(audio_format: AudioFormat) -> bytes:
    return written(audio_format, PCM, tags=BOOK)


@pytest.mark.parametrize("audio_format", ALL)
def test_ffmpeg_shows_the_tags(audio_format: AudioFormat) -> None:
    tags, _, _ = seen(book(audio_format))
    assert {name: tags[name] for name in TEXTS} == TEXTS
    assert tags["track"].split("/")[0] == "2"
    assert tags["language"] in {"de", "deu"}
    assert "AI-generated" in tags["comment"]
    assert "chatterbox-multilingual" in tags["comment"]
    assert "inaudible watermark" in tags["comment"]
    assert tags["encoder"] == "chatterqueue (chatterbox-multilingual)"


@pytest.mark.parametrize("audio_format", [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.FLAC, AudioFormat.WAV])
def test_libsndfile_shows_the_same(audio_format: AudioFormat) -> None:
    with soundfile.SoundFile(io.BytesIO(book(audio_format))) as file:
        found = file.copy_metadata()
    assert {name: found[name] for name in TEXTS} == TEXTS
    assert found["comment"].startswith("AI-generated speech")


@pytest.mark.parametrize("audio_format", WITH_CHAPTERS)
def test_ffmpeg_shows_the_chapters(audio_format: AudioFormat) -> None:
    _, chapters, duration_s = seen(book(audio_format))
    assert [title for _, _, title in chapters] == [title for _, _, title in SPANS]
    assert [start for start, _, _ in chapters] == [start for start, _, _ in SPANS]
    assert [end for _, end, _ in chapters] == pytest.approx([3.0, 4.0, duration_s], abs=0.001)


def test_every_id3_frame_is_as_long_as_it_says() -> None:
    frames = tagreaders.id3(book(AudioFormat.MP3))
    assert [body for kind, body in frames if kind == b"TLAN"] == [b"\x03deu"]
    assert [body for kind, body in frames if kind == b"TXXX"] == [
        b"\x03DigitalSourceType\0" + DIGITAL_SOURCE_TYPE.encode()
    ]
    (contents,) = [tagreaders.id3_contents(body) for kind, body in frames if kind == b"CTOC"]
    chapters = [tagreaders.id3_chapter(body) for kind, body in frames if kind == b"CHAP"]
    assert contents == ("toc", 0b11, [element for element, *_ in chapters])
    assert [(start / 1_000, end / 1_000, title) for _, start, end, title in chapters] == SPANS


def test_more_chapters_than_a_table_holds_make_tables_of_tables() -> None:
    marks = tuple(ChapterMark(f"Psalm {number + 1}", number * 100) for number in range(600))
    frames = tagreaders.id3(id3_tag(Tags(chapters=marks), RATE_HZ, 600 * 100) + b"\xff")
    top, *parts = [tagreaders.id3_contents(body) for kind, body in frames if kind == b"CTOC"]
    assert top == ("toc", 0b11, [element for element, _, _ in parts])
    assert [len(entries) for _, _, entries in parts] == [255, 255, 90]
    assert {flags for _, flags, _ in parts} == {0b01}
    listed = [entry for _, _, entries in parts for entry in entries]
    assert listed == [tagreaders.id3_chapter(body)[0] for kind, body in frames if kind == b"CHAP"]


@pytest.mark.parametrize("audio_format", [AudioFormat.OPUS, AudioFormat.FLAC])
def test_comments_are_as_long_as_they_say(audio_format: AudioFormat) -> None:
    data = book(audio_format)
    if audio_format is AudioFormat.OPUS:
        block = tagreaders.ogg(data)[1][1].removeprefix(b"OpusTags")
    else:
        length = int.from_bytes(data[43:46], "big")  # "fLaC", STREAMINFO of 4 + 34 bytes, type and length
        block = data[46 : 46 + length]
    vendor, fields = tagreaders.vorbis_comments(block)
    assert vendor == "chatterqueue"
    assert dict(fields)["DIGITALSOURCETYPE"] == DIGITAL_SOURCE_TYPE
    assert dict(fields)["CHAPTER001"] == "00:00:03.000"
    assert dict(fields)["CHAPTER001NAME"] == "第二章"
    assert len(fields) == len(dict(fields))


@pytest.mark.parametrize("audio_format", [AudioFormat.MP3, AudioFormat.M4B, AudioFormat.WAV])
def test_the_source_type_stands_in_an_xmp_packet(audio_format: AudioFormat) -> None:
    data = book(audio_format)
    if audio_format is AudioFormat.MP3:
        (packet,) = [body.removeprefix(b"XMP\0") for kind, body in tagreaders.id3(data) if kind == b"PRIV"]
    elif audio_format is AudioFormat.M4B:
        packet = (
            tagreaders.mp4(data).one(b"uuid").content.removeprefix(bytes.fromhex("be7acfcb97a942e89c71999491e3afac"))
        )
    else:
        place = data.index(b"_PMX")
        packet = data[place + 8 : place + 8 + struct.unpack_from("<I", data, place + 4)[0]]
    root = ElementTree.fromstring(packet)
    found = root.find(".//{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert found is not None
    assert found.text == DIGITAL_SOURCE_TYPE


@pytest.mark.parametrize(
    ("picture", "codec", "size"), [(png(), "png", (6, 4)), (jpeg(), "mjpeg", (16, 8))], ids=["png", "jpeg"]
)
@pytest.mark.parametrize("audio_format", WITH_CHAPTERS)
def test_ffmpeg_shows_the_cover(audio_format: AudioFormat, picture: bytes, codec: str, size: tuple[int, int]) -> None:
    data = written(audio_format, PCM[:RATE_HZ], tags=Tags(title="With a picture", cover=picture))
    assert shown_cover(data) == (codec, *size)
    assert seen(data)[0]["title"] == "With a picture"


@pytest.mark.parametrize("picture", [png(), jpeg()], ids=["png", "jpeg"])
def test_a_picture_block_says_the_size_and_holds_the_file(picture: bytes) -> None:
    _, packets = tagreaders.ogg(written(AudioFormat.OPUS, PCM[:2_000], tags=Tags(cover=picture)))
    _, fields = tagreaders.vorbis_comments(packets[1].removeprefix(b"OpusTags"))
    block = b64decode(dict(fields)["METADATA_BLOCK_PICTURE"])
    kind, length = struct.unpack_from(">II", block)
    media_type = block[8 : 8 + length].decode()
    _, width, height, depth, _, num_bytes = struct.unpack_from(">IIIIII", block, 8 + length)
    assert kind == 3
    expected = ("image/png", 6, 4, 24) if picture == png() else ("image/jpeg", 16, 8, 24)
    assert (media_type, width, height, depth) == expected
    assert block[8 + length + 24 :] == picture
    assert num_bytes == len(picture)


def test_a_wav_has_no_place_for_a_cover_and_is_whole_without() -> None:
    samples, _ = soundfile.read(io.BytesIO(written(AudioFormat.WAV, PCM, tags=Tags(cover=png()))), dtype="int16")
    assert (samples == PCM).all()


@pytest.mark.parametrize("audio_format", WITH_CHAPTERS)
def test_what_is_no_picture_is_refused_by_name_before_a_sample_is_encoded(audio_format: AudioFormat) -> None:
    with pytest.raises(InvalidCoverError, match="neither a JPEG nor a PNG"):
        open_writer(audio_format, RATE_HZ, 1_000, WriteOnly(), tags=Tags(cover=b"GIF89a..."))


@pytest.mark.parametrize("offsets", [(1,), (0, 5_000, 4_000), (0, 120_001)])
@pytest.mark.parametrize("audio_format", WITH_CHAPTERS)
def test_chapters_that_do_not_fit_the_audio_are_refused(audio_format: AudioFormat, offsets: tuple[int, ...]) -> None:
    tags = Tags(chapters=tuple(ChapterMark("?", offset) for offset in offsets))
    with pytest.raises(AssemblyError, match="chapters"):
        open_writer(audio_format, RATE_HZ, 120_000, WriteOnly(), tags=tags)


@pytest.mark.parametrize("audio_format", ALL)
def test_a_file_of_which_nothing_is_known_says_that_a_machine_speaks(audio_format: AudioFormat) -> None:
    tags, chapters, _ = seen(written(audio_format, PCM[:RATE_HZ]))
    assert tags["comment"] == "AI-generated speech, made by chatterqueue."
    assert not chapters
    assert "title" not in tags


def test_every_language_has_three_letters() -> None:
    found = {three_letters(language) for language in LANGUAGES}
    assert len(found) == len(LANGUAGES)
    assert "und" not in found
    assert three_letters("tlh") == three_letters(None) == "und"
