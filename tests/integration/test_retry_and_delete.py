"""Taking narrations up again and removing them: the client and the command line, with the real Redis and S3."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from ledgerwork import audio, complete, fail_for_good, granted

from producer import Client, Narration, NarrationNotFoundError, RetryRefusedError, State
from producer.cli.application import main
from producer.connection import connect_redis
from producer.contract import keys
from producer.contract.ending import Ending, ending_key, pin_key
from producer.contract.errors import StorageUnavailableError
from producer.contract.exitcode import ExitCode
from producer.contract.keys import RedisKeys
from producer.contract.narration import NarrationRequest
from producer.ledger import Ledger
from producer.messages import queue_list
from producer.storage import ObjectStore

pytestmark = pytest.mark.integration


@pytest.fixture
def client(settings):
    with Client(settings) as made:
        yield made


@pytest.fixture
def ledger(settings) -> Ledger:
    return Ledger(connect_redis(settings), settings)


def end(ledger: Ledger, store: ObjectStore, narration_id: str, state: State) -> None:
    """Bring a narration of two segments to its end as a worker would."""
    if state is State.CANCELLED:
        ledger.cancel(narration_id)
        return
    ledger.planned(narration_id, granted(ledger, narration_id, "plan"), 2)
    for key in (keys.plan_key, keys.manifest_key, keys.takes_key, keys.request_key):
        store.put(key(narration_id), b"{}" if key is not keys.request_key else b"", "application/json")
    store.put(f"narrations/{narration_id}/audio.mp3", b"sound", "audio/mpeg")
    complete(ledger, narration_id, [0])
    if state is State.SUCCEEDED:
        complete(ledger, narration_id, [1])
    else:
        fail_for_good(ledger, narration_id, "1")
    assert ledger.commit(narration_id, granted(ledger, narration_id, "assemble"), state=state, audio=audio())


@pytest.mark.parametrize("state", [State.PARTIAL, State.FAILED, State.CANCELLED])
def test_what_did_not_end_well_gets_one_successor_however_often_it_is_asked_for(
    client, ledger, store, redis_client, settings, state
):
    job = client.submit(Narration(text="One. Two.", idempotency_key="book-7", title="A book", priority="high"))
    end(ledger, store, job.id, state)
    successor, again = client.retry(job.id), job.retry()
    assert (successor.is_new, again.is_new, again.id) == (True, False, successor.id)
    status = successor.status()
    assert (status.state, status.retry_of, status.title, status.priority) == (State.QUEUED, job.id, "A book", "high")
    assert job.status().state is state
    stored = NarrationRequest.model_validate_json(store.get(ledger.record(successor.id).request_ref))
    assert (stored.id, stored.retry_of, stored.narration.text) == (successor.id, job.id, "One. Two.")
    assert redis_client.llen(queue_list(settings, "narration.plan")) == 2
    # The key still belongs to the first.
    assert client.submit(Narration(text="One. Two.", idempotency_key="book-7", title="A book")).id == job.id
    successor.cancel()
    assert client.retry(successor.id).id not in (job.id, successor.id)


def test_one_of_a_batch_is_taken_up_again_from_its_slice_of_the_pack(client, ledger):
    batch = client.submit_many([Narration(text=f"Number {number}.") for number in range(3)])
    batch[1].cancel()
    successor = batch[1].retry()
    reference = ledger.record(successor.id).request_ref
    assert reference == keys.request_key(successor.id)
    assert successor.status().batch_id is None
    assert client._services.store.get(reference).count(b"Number 1.") == 1


def test_fifty_retries_at_once_make_one_successor(client, ledger, redis_client, settings):
    job = client.submit(Narration(text="One."))
    job.cancel()
    barrier = threading.Barrier(50)

    def retry(_: int):
        barrier.wait(60)
        return client.retry(job.id)

    with ThreadPoolExecutor(50) as pool:
        successors = list(pool.map(retry, range(50)))
    assert {successor.id for successor in successors} == {keys.successor_id(job.id)}
    assert [successor.is_new for successor in successors].count(True) == 1
    assert redis_client.llen(queue_list(settings, "narration.plan")) == 2


@pytest.mark.parametrize("state", [State.QUEUED, State.SUCCEEDED])
def test_what_is_under_way_or_whole_is_not_taken_up_again(client, ledger, store, state):
    job = client.submit(Narration(text="One. Two."))
    if state.is_terminal:
        end(ledger, store, job.id, state)
    with pytest.raises(RetryRefusedError, match=state.value):
        job.retry()
    assert client.statuses([keys.successor_id(job.id)]) == [None]
    with pytest.raises(NarrationNotFoundError):
        client.retry(keys.new_id())


@pytest.mark.parametrize("state", [None, State.PARTIAL, State.SUCCEEDED])
def test_nothing_of_a_deleted_narration_is_left_but_its_segments(client, ledger, store, redis_client, settings, state):
    store.put("segments/ab/shared.flac", b"sound", "audio/flac")
    job = client.submit(Narration(text="One. Two.", idempotency_key="book-7"))
    redis_keys = RedisKeys(settings.redis_prefix)
    if state is None:
        ledger.planned(job.id, granted(ledger, job.id, "plan"), 2)
        granted(ledger, job.id, "0")
    else:
        end(ledger, store, job.id, state)
    # What else may lie there: the engine, timings, chapters, the request of somebody whose content came too late.
    loser = keys.request_key(job.id, "f" * 64)
    for key in (pin_key(job.id), keys.subtitles_key(job.id, "srt"), loser):
        store.put(key, b"{}", "application/json")
    job.delete()
    with pytest.raises(NarrationNotFoundError):
        job.status()
    assert list(store.list_keys()) == ["segments/ab/shared.flac"]
    assert list(redis_client.scan_iter(f"{settings.redis_prefix}*{job.id}*")) == []
    assert redis_client.zscore(redis_keys.narrations(), job.id) is None
    assert ledger.active() == []
    with pytest.raises(NarrationNotFoundError):
        job.delete()
    assert client.submit(Narration(text="Something else.", idempotency_key="book-7")).id == job.id


def test_the_pack_of_a_batch_goes_with_its_last_narration(client, store):
    batch = client.submit_many([Narration(text=f"Number {number}.") for number in range(2)])
    (pack,) = store.list_keys("batches/")
    batch[0].delete()
    assert set(store.list_keys()) == {pack, keys.deletion_key(batch[0].id)}
    assert [status.id for status in client.list(batch_id=batch.id)] == [batch[1].id]
    batch[1].delete()
    assert list(store.list_keys("batches/")) == []


def test_who_is_cancelled_is_marked_in_s3_at_once_and_s3_is_not_needed_for_it(client, store, monkeypatch):
    batch = client.submit_many([Narration(text=f"Number {number}.") for number in range(2)])
    batch.cancel()
    for status in batch.statuses():
        mark = Ending.model_validate_json(store.get(ending_key(status.id)))
        assert (mark.state, mark.batch_id, mark.finished_at) == (State.CANCELLED, batch.id, status.finished_at)
    job = client.submit(Narration(text="One."))
    monkeypatch.setattr(ObjectStore, "put", lambda *_: (_ for _ in ()).throw(StorageUnavailableError("s3", "away")))
    assert job.cancel() is State.CANCELLED


def test_what_ended_by_itself_is_not_marked_as_cancelled(client, ledger, store):
    job = client.submit(Narration(text="One. Two."))
    end(ledger, store, job.id, State.SUCCEEDED)
    assert job.cancel() is State.SUCCEEDED
    assert not store.exists(ending_key(job.id))


def test_a_deletion_that_broke_off_leaves_a_mark_and_is_done_again(client, store, monkeypatch):
    job = client.submit(Narration(text="One."))
    with monkeypatch.context() as broken:
        broken.setattr(ObjectStore, "delete", lambda *_: (_ for _ in ()).throw(StorageUnavailableError("s3", "away")))
        with pytest.raises(StorageUnavailableError):
            job.delete()
    assert job.status().state is State.CANCELLED
    assert Ending.model_validate_json(store.get(ending_key(job.id))).state is None
    job.delete()
    assert list(store.list_keys()) == []


def test_the_commands_print_what_they_did_and_end_with_the_codes_they_promise(client, capsys):
    job = client.submit(Narration(text="One."))
    assert main(["retry", job.id]) == ExitCode.INVALID_INPUT
    assert "is queued" in capsys.readouterr().err
    job.cancel()
    assert main(["retry", job.id, "--json"]) == ExitCode.OK
    successor_id = keys.successor_id(job.id)
    assert json.loads(capsys.readouterr().out) == [{"id": successor_id, "retry_of": job.id, "is_new": True}]
    assert main(["retry", job.id]) == ExitCode.OK
    assert capsys.readouterr().out == f"{successor_id}\n"
    assert main(["delete", job.id, successor_id]) == ExitCode.OK
    assert capsys.readouterr().out == f"{job.id} deleted\n{successor_id} deleted\n"
    assert main(["delete", job.id, "--json"]) == ExitCode.NOT_FOUND
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "narration_not_found"
