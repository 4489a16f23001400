"""The client on a real Redis and S3 server, without a worker: what is stored, queued, refused and left behind."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis as redis_package
from redis import Redis

from producer import Client, Narration, NarrationJob, Settings, State
from producer.contract import keys
from producer.contract.dictionary import Rule, Rules
from producer.contract.errors import (
    IdempotencyConflictError,
    InvalidBatchError,
    InvalidInputError,
    InvalidNarrationError,
    NarrationFailedError,
    NarrationNotFoundError,
    NarrationUnfinishedError,
    OutputPathError,
    QueueUnavailableError,
    UnknownDictionaryError,
    UnknownVoiceError,
    WaitTimeoutError,
)
from producer.contract.narration import NarrationRequest
from producer.ledger import Ledger
from producer.messages import Messenger
from producer.recording import Recording
from producer.storage import ObjectStore

pytestmark = pytest.mark.integration

CANARY = "Mandragora officinarum"


@pytest.fixture
def client(settings: Settings):
    with Client(settings) as connected:
        yield connected


def keys_of(redis_client: Redis, settings: Settings) -> list[bytes]:
    return sorted(redis_client.scan_iter(f"{settings.redis_prefix}*"))


def messages(redis_client: Redis, settings: Settings) -> list[dict[str, Any]]:
    raw = redis_client.lrange(f"{settings.redis_prefix}celery:narration.plan", 0, -1)
    return [json.loads(message) for message in reversed(raw)]


def stored_request(store: ObjectStore, settings: Settings, redis_client: Redis, narration_id: str) -> NarrationRequest:
    key, _, span = Ledger(redis_client, settings).record(narration_id).request_ref.partition("#")
    offset, _, length = span.partition("+")
    content = store.get_range(key, int(offset), int(length)) if span else store.get(key)
    return NarrationRequest.model_validate_json(content)


def test_a_submitted_narration_lies_in_s3_and_only_its_id_in_redis(client, settings, store, redis_client):
    narration = Narration(text=CANARY, title="Root", custom_id="c-1", metadata={"note": CANARY})
    job = client.submit(narration)
    assert job.is_new
    assert stored_request(store, settings, redis_client, job.id).narration == narration
    assert list(store.list_keys()) == [f"narrations/{job.id}/request.json"]
    status = job.status()
    assert (status.state, status.custom_id, status.num_chars) == (State.QUEUED, "c-1", len(CANARY))
    (message,) = messages(redis_client, settings)
    assert message["headers"]["task"] == "narration.plan"
    assert message["headers"]["ignore_result"] is True
    for key in keys_of(redis_client, settings):
        assert CANARY.encode() not in redis_client.dump(key)


def test_a_set_lies_in_one_pack_and_every_reference_finds_its_request(client, settings, store, redis_client):
    narrations = [Narration(text=f"Sentence number {number}.", custom_id=str(number)) for number in range(30)]
    batch = client.submit_many([*narrations[:20], *(each.model_dump(mode="json") for each in narrations[20:])])
    assert [key.split("/")[0] for key in store.list_keys()] == ["batches"]
    assert [stored_request(store, settings, redis_client, each).narration for each in batch.ids] == narrations
    assert [status.custom_id for status in batch.statuses()] == [str(number) for number in range(30)]
    assert len(messages(redis_client, settings)) == 30
    assert {status.id for status in client.list(batch_id=batch.id)} == set(batch.ids)
    assert isinstance(batch[0], NarrationJob)
    assert [job.id for job in batch[1:3]] == batch.ids[1:3]


def test_the_same_key_and_content_is_the_same_narration(client, settings, store, redis_client):
    narration = Narration(text="Once.", idempotency_key="book-7")
    first = client.submit(narration)
    objects = list(store.list_keys())
    second = client.submit(narration)
    batch = client.submit_many([narration, narration])
    assert {first.id, second.id, *batch.ids} == {keys.id_of_key("book-7")}
    assert (first.is_new, second.is_new, batch[0].is_new) == (True, False, False)
    assert list(store.list_keys()) == objects
    assert len(messages(redis_client, settings)) == 1


def test_the_same_key_with_other_content_is_refused_and_changes_nothing(client, settings, store, redis_client):
    job = client.submit(Narration(text="Once.", idempotency_key="book-7"))
    objects = {key: store.get(key) for key in store.list_keys()}
    other = Narration(text="Twice.", idempotency_key="book-7")
    with pytest.raises(IdempotencyConflictError) as caught:
        client.submit(other)
    assert caught.value.args == ("book-7", job.id)
    with pytest.raises(InvalidBatchError) as refused:
        client.submit_many([Narration(text="Fine."), other])
    assert [(fault.code, fault.field) for fault in refused.value.faults] == [
        ("idempotency_conflict", "narrations[1].idempotency_key")
    ]
    assert {key: store.get(key) for key in store.list_keys()} == objects
    assert len(messages(redis_client, settings)) == 1


def test_a_key_that_was_taken_between_look_and_record_is_refused_too(client, settings, redis_client, monkeypatch):
    """Two processes hand in different content under one key: the loser must not overwrite the winner's request."""
    winner = Client(settings)
    original_put = ObjectStore.put
    jobs: list[NarrationJob] = []

    def put_after_the_winner(store: ObjectStore, key: str, data: bytes, content_type: str) -> None:
        monkeypatch.setattr(ObjectStore, "put", original_put)
        jobs.append(winner.submit(Narration(text="The winner.", idempotency_key="k")))
        original_put(store, key, data, content_type)

    monkeypatch.setattr(ObjectStore, "put", put_after_the_winner)
    with pytest.raises(IdempotencyConflictError):
        client.submit(Narration(text="The loser.", idempotency_key="k"))
    store = ObjectStore.connect(settings)
    assert stored_request(store, settings, redis_client, jobs[0].id).narration.text == "The winner."
    winner.close()


BAD_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({"text": ""}, "text_empty"),
    "blank": ({"text": " \n\t"}, "text_empty"),
    "punctuation": ({"text": "…!?—"}, "text_unspeakable"),
    "emoji": ({"text": "😀😀"}, "text_unspeakable"),
    "a zip": ({"text": "PK\x03\x04 and more"}, "text_binary"),
    "engine": ({"text": "One.", "engine": "espeak"}, "engine_unknown"),
    "language": ({"text": "One.", "language": "tlh"}, "language_unknown"),
    "format": ({"text": "One.", "format": "ogg"}, "format_unknown"),
    "out of range": ({"text": "One.", "parameters": {"temperature": 0}}, "out_of_range"),
    "NaN": ({"text": "One.", "parameters": {"temperature": float("nan")}}, "not_finite"),
    "string for a number": ({"text": "One.", "parameters": {"cfg_weight": "0.5"}}, "wrong_type"),
    "unknown field": ({"text": "One.", "speed": 2}, "unknown_field"),
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_bad_input_is_refused_by_name_and_leaves_nothing_behind(client, settings, store, redis_client, case: str):
    fields, code = BAD_FIELDS[case]
    with pytest.raises(InvalidNarrationError) as caught:
        client.submit(fields)
    assert [fault.code for fault in caught.value.faults] == [code]
    with pytest.raises(InvalidBatchError) as refused:
        client.submit_many([{"text": "Fine."}, fields, {"text": "Fine too."}])
    assert [fault.code for fault in refused.value.faults] == [code]
    assert keys_of(redis_client, settings) == []
    assert list(store.list_keys()) == []


def test_an_unknown_voice_is_refused_beside_all_other_faults(client, settings, store, redis_client):
    with pytest.raises(UnknownVoiceError):
        client.submit({"text": "One.", "voice": "nobody"})
    with pytest.raises(InvalidBatchError) as caught:
        client.submit_many([{"text": "One.", "voice": "nobody"}, {"text": ""}, {"text": "Two.", "voice": "nobody"}])
    assert [fault.code for fault in caught.value.faults] == ["voice_unknown", "text_empty", "voice_unknown"]
    assert keys_of(redis_client, settings) == []
    assert list(store.list_keys()) == []


def test_the_hash_of_a_voice_is_kept_with_the_request(client, settings, store, redis_client):
    recording = Recording(wav=b"RIFF", sha256="ab" * 32, duration_s=4.0, sample_rate_hz=24_000, warnings=())
    client.voices.add("ada", recording, consent="Ada agreed, 2026-01-01")
    assert [(voice.name, voice.sha256) for voice in client.voices.list()] == [("ada", "ab" * 32)]
    job = client.submit({"text": "One.", "voice": "ada"})
    assert stored_request(store, settings, redis_client, job.id).voice_sha256 == "ab" * 32
    client.voices.remove("ada")
    with pytest.raises(UnknownVoiceError):
        client.submit({"text": "One.", "voice": "ada"})
    assert store.exists(keys.voice_audio_key("ab" * 32))


def test_all_that_a_narration_names_is_pinned_when_it_is_handed_in(client, settings, store, redis_client):
    for name, sha256 in (("ada", "ab" * 32), ("bo", "cd" * 32)):
        client.voices.add(name, Recording(b"RIFF", sha256, 4.0, 24_000), consent="agreed")
    client.dictionaries.add("names", Rules(rules=(Rule(pattern="Cholmondeley", replacement="Chumley"),)))
    chapters = [{"title": "I", "start": 0, "voice": "ada"}]
    fields = {"text": "One. [voice:bo] Two.", "chapters": chapters, "dictionary": "names"}
    batch = client.submit_many([fields, {"text": "Three."}, {**fields, "voice": "bo"}])
    client.voices.remove("bo")
    client.dictionaries.remove("names")
    first, second, third = (stored_request(store, settings, redis_client, id) for id in batch.ids)
    assert (first.voice_sha256, first.voices_sha256) == (None, {"ada": "ab" * 32, "bo": "cd" * 32})
    assert (second.voices_sha256, second.dictionary) == ({}, None)
    assert (third.voice_sha256, third.voices_sha256) == ("cd" * 32, {"ada": "ab" * 32})
    assert first.dictionary == third.dictionary
    assert (first.dictionary.name, first.dictionary.version) == ("names", 1)
    with pytest.raises(UnknownDictionaryError):
        client.submit({"text": "One.", "dictionary": "names"})


def test_every_name_that_is_not_there_is_listed_and_nothing_is_queued(client, settings, store, redis_client):
    chapters = [{"title": "I", "start": 0, "voice": "ada"}]
    fields = {"text": "One. [voice:bo] Two. [voice:cy] Three.", "chapters": chapters, "dictionary": "names"}
    with pytest.raises(InvalidBatchError) as caught:
        client.submit_many([{"text": "Fine."}, fields])
    assert [(fault.field, fault.code) for fault in caught.value.faults] == [
        ("narrations[1].chapters", "voice_unknown"),
        ("narrations[1].text", "voice_unknown"),
        ("narrations[1].dictionary", "dictionary_unknown"),
    ]
    assert "'bo', 'cy'" in caught.value.faults[1].message
    with pytest.raises(UnknownVoiceError, match="'ada', 'bo', 'cy'"):
        client.submit({**fields, "dictionary": None})
    assert keys_of(redis_client, settings) == []
    assert list(store.list_keys()) == []


def test_a_bulk_file_is_refused_as_a_whole_with_every_line_named(client, settings, store, redis_client, tmp_path):
    path = tmp_path / "jobs.jsonl"
    path.write_text('{"text": "Fine."}\n{"text": "One.", "voice": "nobody"}\n\nnot json\n', encoding="utf-8")
    with pytest.raises(InvalidBatchError) as caught:
        client.submit_file(path)
    assert [(fault.line, fault.code) for fault in caught.value.faults] == [(2, "voice_unknown"), (4, "json")]
    assert keys_of(redis_client, settings) == []
    assert list(store.list_keys()) == []


def test_a_message_that_cannot_be_sent_loses_nothing(client, settings, redis_client, monkeypatch):
    def fail(messenger: Messenger, ids_and_sent_ms: object) -> None:
        raise QueueUnavailableError("redis://there", "no answer in time")

    monkeypatch.setattr(Messenger, "send_plan", fail)
    job = client.submit(Narration(text="One."))
    assert Ledger(redis_client, settings).active() == [job.id]


def test_nothing_stays_in_s3_when_redis_refuses_the_record(client, settings, store, monkeypatch):
    def refuse(ledger: Ledger, entries: object) -> None:
        cause = redis_package.exceptions.OutOfMemoryError("OOM")
        raise QueueUnavailableError("redis://there", "it is full") from cause

    monkeypatch.setattr(Ledger, "create", refuse)
    with pytest.raises(QueueUnavailableError):
        client.submit(Narration(text="One."))
    assert list(store.list_keys()) == []


def test_statuses_come_in_the_order_of_the_ids_with_none_for_unknown_ones(client):
    ids = [client.submit(Narration(text=f"{number}.")).id for number in range(3)]
    statuses = client.statuses([ids[2], keys.new_id(), ids[0]])
    assert [status and status.id for status in statuses] == [ids[2], None, ids[0]]
    assert client.statuses([]) == []


def test_cancelling_ends_a_narration_for_good(client):
    job = client.submit(Narration(text="One."))
    assert job.cancel() is State.CANCELLED
    assert client.cancel(job.id) is State.CANCELLED
    assert job.wait(timeout_s=5).state is State.CANCELLED
    assert [status.id for status in client.list(state=State.CANCELLED)] == [job.id]
    assert client.list(state=State.QUEUED) == []


def test_a_result_that_is_not_there_is_an_error_that_says_why(client, tmp_path):
    job = client.submit(Narration(text="One."))
    for ask in (lambda: job.download(tmp_path / "out.mp3"), job.url, job.manifest):
        with pytest.raises(NarrationUnfinishedError):
            ask()
    with pytest.raises(WaitTimeoutError):
        job.wait(timeout_s=0.2)
    job.cancel()
    for ask in (lambda: job.download(tmp_path / "out.mp3"), job.url, job.manifest):
        with pytest.raises(NarrationFailedError):
            ask()
    for ask in (client.status, client.url, client.manifest, client.cancel, client.wait):
        with pytest.raises(NarrationNotFoundError):
            ask(keys.new_id())
    assert list(tmp_path.iterdir()) == []


def test_an_output_path_is_refused_before_anything_is_asked(client, tmp_path):
    (tmp_path / "link.mp3").symlink_to(tmp_path / "target.mp3")
    for path in (tmp_path, tmp_path / "link.mp3", tmp_path / "missing" / "out.mp3"):
        with pytest.raises(OutputPathError):
            client.download(keys.new_id(), path)


@pytest.mark.parametrize("expires", [0, -1, 7 * 24 * 3600 + 1])
def test_a_url_lives_no_longer_than_s3_allows(client, expires: int):
    with pytest.raises(InvalidInputError, match="seven days"):
        client.url(keys.new_id(), expires=expires)
