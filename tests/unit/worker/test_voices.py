from __future__ import annotations

import hashlib
import os

import pytest
from workerfakes import FakeStore

from producer.contract.keys import voice_audio_key
from producer.storage import ObjectNotFoundError
from worker.errors import SynthesisError, VoiceDamagedError
from worker.voices import VoiceShelf


def stored(store: FakeStore, audio: bytes) -> str:
    sha256 = hashlib.sha256(audio).hexdigest()
    store.objects[voice_audio_key(sha256)] = audio
    return sha256


def test_a_voice_is_fetched_once(tmp_path):
    store = FakeStore()
    shelf = VoiceShelf(store, tmp_path / "voices")
    reference = shelf.reference(stored(store, b"RIFF one"))
    shelf.fetch(reference)
    shelf.fetch(reference)
    assert reference.path.read_bytes() == b"RIFF one"
    assert store.num_gets == 1


def test_damaged_audio_is_refused_and_not_kept(tmp_path):
    store = FakeStore()
    shelf = VoiceShelf(store, tmp_path)
    reference = shelf.reference(stored(store, b"RIFF one"))
    store.objects[voice_audio_key(reference.sha256)] = b"RIFF two"
    with pytest.raises(VoiceDamagedError):
        shelf.fetch(reference)
    assert not reference.path.exists()


def test_a_voice_that_is_gone_is_named(tmp_path):
    shelf = VoiceShelf(FakeStore(), tmp_path)
    with pytest.raises(ObjectNotFoundError):
        shelf.fetch(shelf.reference("0" * 64))


def test_a_disk_that_cannot_take_it_is_no_fault_of_the_narration(tmp_path):
    store = FakeStore()
    (tmp_path / "voices").write_text("a file where the folder should be")
    shelf = VoiceShelf(store, tmp_path / "voices")
    with pytest.raises(SynthesisError) as caught:
        shelf.fetch(shelf.reference(stored(store, b"RIFF one")))
    assert caught.value.is_retryable


def test_the_voice_that_was_not_used_for_longest_goes_when_there_are_too_many(tmp_path):
    store = FakeStore()
    shelf = VoiceShelf(store, tmp_path, max_bytes=20)
    references = [shelf.reference(stored(store, f"RIFF {number}..".encode())) for number in range(3)]
    for age, reference in enumerate(references[:2]):
        shelf.fetch(reference)
        os.utime(reference.path, (1_000 + age, 1_000 + age))
    shelf.fetch(references[0])  # used again
    shelf.fetch(references[2])
    assert [reference.path.exists() for reference in references] == [True, False, True]
