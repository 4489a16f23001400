from __future__ import annotations

import array
import hashlib
import os
import struct

import pytest
from workerfakes import FakeStore

from producer.contract.keys import voice_audio_key
from producer.wavfile import write_wav
from worker.errors import SynthesisError, VoiceDamagedError, VoiceMissingError
from worker.voices import VoiceShelf


def voice(number: int, *, rate_hz: int = 8_000, num_samples: int = 800) -> bytes:
    return write_wav(array.array("h", [number] * num_samples), rate_hz)


ONE = voice(1)


def stored(store: FakeStore, audio: bytes) -> str:
    sha256 = hashlib.sha256(audio).hexdigest()
    store.objects[voice_audio_key(sha256)] = audio
    return sha256


def test_a_voice_is_fetched_once(tmp_path):
    store = FakeStore()
    shelf = VoiceShelf(store, tmp_path / "voices")
    reference = shelf.reference(stored(store, ONE))
    shelf.fetch(reference)
    shelf.fetch(reference)
    assert reference.path.read_bytes() == ONE
    assert store.num_gets == 1


def test_damaged_audio_is_refused_and_not_kept(tmp_path):
    store = FakeStore()
    shelf = VoiceShelf(store, tmp_path)
    reference = shelf.reference(stored(store, ONE))
    store.objects[voice_audio_key(reference.sha256)] = voice(2)
    with pytest.raises(VoiceDamagedError):
        shelf.fetch(reference)
    assert not reference.path.exists()


def test_a_voice_that_is_gone_is_named(tmp_path):
    shelf = VoiceShelf(FakeStore(), tmp_path)
    with pytest.raises(VoiceMissingError) as caught:
        shelf.fetch(shelf.reference("0" * 64))
    assert not caught.value.is_retryable
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_take_it_is_no_fault_of_the_narration(tmp_path):
    store = FakeStore()
    (tmp_path / "voices").write_text("a file where the folder should be")
    shelf = VoiceShelf(store, tmp_path / "voices")
    with pytest.raises(SynthesisError) as caught:
        shelf.fetch(shelf.reference(stored(store, ONE)))
    assert caught.value.is_retryable


def test_the_voice_that_was_not_used_for_longest_goes_when_there_are_too_many(tmp_path):
    store = FakeStore()
    shelf = VoiceShelf(store, tmp_path, max_bytes=2 * len(ONE))
    references = [shelf.reference(stored(store, voice(number))) for number in range(3)]
    for age, reference in enumerate(references[:2]):
        shelf.fetch(reference)
        os.utime(reference.path, (1_000 + age, 1_000 + age))
    shelf.fetch(references[0])  # used again
    shelf.fetch(references[2])
    assert [reference.path.exists() for reference in references] == [True, False, True]


@pytest.mark.parametrize(
    "audio",
    [
        b"",
        b"fLaC" + bytes(100),
        ONE[:40],
        ONE + b"x",
        ONE[:20] + struct.pack("<H", 0x11) + ONE[22:],
        ONE[:22] + struct.pack("<H", 2) + ONE[24:],
        ONE[:36] + b"LIST" + ONE[40:],
        ONE[:40] + struct.pack("<I", 7) + ONE[44:],
        voice(1, rate_hz=1),
        voice(1, rate_hz=400_000),
        voice(1, num_samples=8_000 * 121),
    ],
    ids=["empty", "FLAC", "cut", "longer", "ADPCM", "two channels", "a chunk", "a length", "1 Hz", "400 kHz", "long"],
)
def test_audio_that_no_producer_stores_never_reaches_a_decoder(tmp_path, audio):
    """Its name is right: whoever can write to the bucket can name a file by its hash."""
    store = FakeStore()
    shelf = VoiceShelf(store, tmp_path)
    reference = shelf.reference(stored(store, audio))
    with pytest.raises(VoiceDamagedError):
        shelf.fetch(reference)
    assert not reference.path.exists()
