"""What narrations name: pinned if it is there, named in full if it is not, and looked up once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from producer.contract import keys
from producer.contract.dictionary import Dictionary, DictionaryVersion
from producer.contract.errors import (
    InvalidNarrationError,
    TooManyVoicesError,
    UnknownDictionaryError,
    UnknownVoiceError,
    VoiceForbiddenError,
)
from producer.contract.narration import Narration, NarrationRequest
from producer.contract.voice import Voice
from producer.references import MAX_VOICES, References
from producer.storage import ObjectNotFoundError
from producer.voices import VoiceRegister

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class CountingStore:
    """Records of voices and dictionaries, and how often each was asked for."""

    def __init__(self, *voices: str) -> None:
        self.objects = {keys.voice_record_key(name): self.voice(name) for name in voices}
        self.gets: Counter[str] = Counter()

    @staticmethod
    def voice(name: str) -> bytes:
        voice = Voice(
            name=name, sha256=f"hash-{name}", duration_s=4.0, sample_rate_hz=24_000, consent="yes", added_at=NOW
        )
        return voice.model_dump_json().encode()

    def add_dictionary(self, name: str) -> None:
        version = DictionaryVersion(version=3, sha256="f" * 64, num_rules=1, added_at=NOW)
        record = Dictionary(name=name, versions=(version,)).model_dump_json()
        self.objects[keys.dictionary_record_key(name)] = record.encode()

    def get(self, key: str) -> bytes:
        self.gets[key] += 1
        if key not in self.objects:
            raise ObjectNotFoundError(key)
        return self.objects[key]


def references(store: CountingStore) -> References:
    return References(SimpleNamespace(voices=VoiceRegister(store), store=store))  # type: ignore[arg-type]


def narration(**fields: Any) -> Narration:
    return Narration.parse({"text": "One. Two.", **fields})


CHAPTERS = [{"title": "I", "start": 0, "voice": "ada"}, {"title": "II", "start": 5}]
EVERYTHING = {"text": "One. [voice:bo] Two. [voice:default] Three.", "voice": "cy", "chapters": CHAPTERS}


def test_every_voice_is_pinned_wherever_it_is_named():
    asked = narration(**EVERYTHING)
    found = references(CountingStore("ada", "bo", "cy")).look_up(asked)
    found.check()
    request = NarrationRequest.new(asked, narration_id="a" * 26, **found.pinned)
    assert request.voice_sha256 == "hash-cy"
    assert request.voices_sha256 == {"ada": "hash-ada", "bo": "hash-bo", "default": None}
    assert NarrationRequest.model_validate_json(request.model_dump_json()) == request


def test_nothing_is_asked_for_when_nothing_is_named():
    services = SimpleNamespace()  # has neither voices nor a store
    asked = narration(text="It cost [sic] 3 pounds.")
    found = References(services).look_up(asked)  # type: ignore[arg-type]
    found.check()
    assert found.pinned == {"voice_sha256": None, "voices_sha256": {}, "dictionary": None}


def test_all_unknown_voices_are_named_by_field():
    faults = references(CountingStore("bo")).look_up(narration(**EVERYTHING, dictionary="names")).faults
    assert [(fault.field, fault.code) for fault in faults] == [
        ("voice", "voice_unknown"),
        ("chapters", "voice_unknown"),
        ("dictionary", "dictionary_unknown"),
    ]
    assert "'cy'" in faults[0].message
    assert "'ada'" in faults[1].message


def test_one_error_lists_all_unknown_voices():
    with pytest.raises(UnknownVoiceError, match="'cy', 'ada', 'bo'") as caught:
        references(CountingStore()).look_up(narration(**EVERYTHING)).check()
    assert caught.value.names == ("cy", "ada", "bo")


def test_what_is_wrong_in_several_ways_is_one_error_with_all_of_them():
    with pytest.raises(InvalidNarrationError) as caught:
        references(CountingStore()).look_up(narration(voice="ada", dictionary="names")).check()
    assert {fault.code for fault in caught.value.faults} == {"voice_unknown", "dictionary_unknown"}


def test_a_dictionary_is_pinned_with_its_version():
    store = CountingStore()
    store.add_dictionary("names")
    pinned = references(store).look_up(narration(dictionary="names")).pinned["dictionary"]
    assert pinned is not None
    assert (pinned.name, pinned.version, pinned.sha256) == ("names", 3, "f" * 64)


def test_an_unknown_dictionary_is_an_error_of_its_own():
    with pytest.raises(UnknownDictionaryError, match="names"):
        references(CountingStore()).look_up(narration(dictionary="names")).check()


def test_a_voice_without_a_note_of_consent_is_forbidden():
    store = CountingStore("ada")
    key = keys.voice_record_key("ada")
    store.objects[key] = store.objects[key].replace(b'"consent":"yes"', b'"consent":""')
    with pytest.raises(VoiceForbiddenError, match="ada"):
        references(store).look_up(narration(voice="ada")).check()


def test_each_name_is_looked_up_once_in_a_set():
    store = CountingStore("ada", "bo")
    store.add_dictionary("names")
    found = references(store)
    for number in range(200):
        asked = narration(text=f"Page {number} [voice:bo] says [voice:nobody] no.", voice="ada", dictionary="names")
        assert [fault.code for fault in found.look_up(asked).faults] == ["voice_unknown"]
    assert set(store.gets.values()) == {1}
    assert len(store.gets) == 4


def test_a_text_cannot_have_any_number_of_voices_looked_up():
    store = CountingStore()
    text = " ".join(f"[voice:v{number}] Yes." for number in range(MAX_VOICES + 1))
    with pytest.raises(TooManyVoicesError):
        references(store).look_up(narration(text=text)).check()
    assert not store.gets
