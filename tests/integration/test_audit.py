"""The audit on a real Valkey and S3: a whole farm passes, and each corruption made by hand is named."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from auditing import AuditedFarm, audit, broken
from ledgerwork import fail_for_good

from producer.audit import Invariant
from producer.contract.ending import Ending, ending_key
from producer.contract.keys import RedisKeys, audio_key, manifest_key, new_id, plan_key, request_key, takes_key
from producer.contract.manifest import Manifest
from producer.contract.narration import AudioFormat
from producer.contract.settings import Settings
from producer.contract.status import State
from worker.audio import encode_segment

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def shared_farm(stack, tmp_path_factory) -> Iterator[AuditedFarm]:
    """One farm for all tests that spoil one narration of it; they are about that narration alone."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    with pytest.MonkeyPatch.context() as environment:
        for variable, value in stack.environment().items():
            environment.setenv(variable, value)
        environment.setenv("CHATTERQUEUE_REDIS_PREFIX", f"{name}:")
        environment.setenv("CHATTERQUEUE_S3_PREFIX", f"{name}/")
        made = AuditedFarm(Settings.load(), tmp_path_factory.mktemp("voices"))
    yield made
    made.auditor.close()


@pytest.fixture
def farm(shared_farm) -> Iterator[AuditedFarm]:
    """The shared farm; what the test has left in its ledger is forgotten."""
    yield shared_farm
    for key in shared_farm.redis.scan_iter(match=f"{shared_farm.settings.redis_prefix}*", count=1_000):
        shared_farm.redis.delete(key)


@pytest.fixture
def keys(farm) -> RedisKeys:
    return RedisKeys(farm.settings.redis_prefix)


def test_a_farm_at_work_is_whole(own_farm):
    farm = own_farm
    ids = [farm.enter(), farm.begin(), farm.begin(12, 5), farm.begin(3, 3), farm.finish(5)]
    with_gap = farm.begin(3)
    farm.speak(with_gap, [0, 2])
    fail_for_good(farm.ledger, with_gap, "1")
    farm.assembler.run(with_gap)
    assert farm.status(with_gap).state is State.PARTIAL
    cancelled = farm.begin(3, 1)
    farm.ledger.cancel(cancelled)

    report = audit(farm, acknowledged_ids=[*ids, with_gap, cancelled], canary="paragraph number", grace_s=0.0)

    assert report.is_whole, [str(violation) for violation in report.violations]
    assert (report.counts["narrations"], report.counts["acknowledged"], report.counts["unexpected"]) == (7, 7, 0)
    assert report.counts["executions"] == 5 + 3 + 5 + 3


def test_a_farm_at_rest_is_whole_when_all_has_ended(farm):
    ids = [farm.finish(4), farm.finish(4)]
    report = audit(farm, *ids, is_at_rest=True, acknowledged_ids=ids, is_decoding=True, grace_s=0.0)
    assert report.is_whole, [str(violation) for violation in report.violations]
    assert report.counts["segments"] == 8
    assert report.counts["stored segments"] == 4  # the same text


def corrupt_manifest(farm: AuditedFarm, narration_id: str, change: Callable[[dict], None]) -> None:
    document = json.loads(farm.store.get(manifest_key(narration_id)))
    change(document)
    farm.store.put(manifest_key(narration_id), json.dumps(document).encode(), "application/json")


def swap_segments(document: dict) -> None:
    document["segments"][0], document["segments"][1] = document["segments"][1], document["segments"][0]


def shift_segment(document: dict) -> None:
    document["segments"][1]["offset_samples"] += 1


def drop_segment(document: dict) -> None:
    del document["segments"][-1]


def lose_segment(document: dict) -> None:
    document["segments"][1]["is_present"] = False


def change_voice(document: dict) -> None:
    document["voice"] = "somebody"


def change_state(document: dict) -> None:
    document["state"] = "partial"


def move_span(document: dict) -> None:
    document["segments"][1]["start"] += 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (swap_segments, (Invariant.MANIFEST_IS_WHOLE, None)),
        (drop_segment, (Invariant.MANIFEST_IS_WHOLE, None)),
        (shift_segment, (Invariant.MANIFEST_IS_WHOLE, "1")),
        (lose_segment, (Invariant.MANIFEST_IS_WHOLE, "1")),
        (move_span, (Invariant.MANIFEST_IS_WHOLE, "1")),
        (change_voice, (Invariant.ONE_VOICE, None)),
        (change_state, (Invariant.ONE_END, "manifest.json")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_manifest_that_was_changed_is_named(farm, change, expected):
    narration_id = farm.finish()
    corrupt_manifest(farm, narration_id, change)
    report = audit(farm, narration_id)
    assert expected in broken(report)
    assert {violation.narration_id for violation in report.violations} == {narration_id}


def segment_key_of(farm: AuditedFarm, narration_id: str, index: int) -> str:
    manifest = Manifest.model_validate_json(farm.store.get(manifest_key(narration_id)))
    key = manifest.segments[index].key
    assert key is not None
    return key


@pytest.mark.parametrize("is_decoding", [False, True], ids=["headers", "decoded"])
def test_a_segment_that_is_gone_or_another_is_named(farm, is_decoding):
    narration_id = farm.finish(4, seed=10 + is_decoding)
    farm.store.delete(segment_key_of(farm, narration_id, 1))
    farm.store.put(segment_key_of(farm, narration_id, 2), b"no audio", "audio/flac")
    farm.store.put(segment_key_of(farm, narration_id, 0), b"", "audio/flac")
    another = encode_segment(np.zeros(7, np.float32), 24_000)
    farm.store.put(segment_key_of(farm, narration_id, 3), another, "audio/flac")
    report = audit(farm, narration_id, is_decoding=is_decoding)
    assert broken(report) == {(Invariant.MANIFEST_IS_WHOLE, index) for index in "0123"}


def test_a_segment_that_is_cut_short_or_bent_is_named_when_it_is_decoded(farm):
    narration_id = farm.finish(seed=2)
    for index, spoil in ((0, lambda data: data[: len(data) // 2]), (1, lambda data: data[:26] + bytes(15) + data[41:])):
        key = segment_key_of(farm, narration_id, index)
        farm.store.put(key, spoil(farm.store.get(key)), "audio/flac")
    farm.store.put(
        key := segment_key_of(farm, narration_id, 2),
        farm.store.get(key)[:26] + b"\x01" * 16 + farm.store.get(key)[42:],
        "audio/flac",
    )
    assert audit(farm, narration_id).is_whole
    report = audit(farm, narration_id, is_decoding=True)
    assert broken(report) == {
        (Invariant.MANIFEST_IS_WHOLE, "0"),
        (Invariant.MANIFEST_IS_WHOLE, "1"),
        (Invariant.MANIFEST_IS_WHOLE, "2"),
    }


def test_one_key_with_two_sounds_is_named(farm):
    first = farm.finish()
    second = farm.finish()
    corrupt_manifest(farm, second, lambda document: document["segments"][0].update(take_samples=7))
    assert (Invariant.SAME_SEED_SAME_SOUND, "0") in broken(audit(farm, first, second))


@pytest.mark.parametrize("content", [None, b"short", "same length"], ids=["gone", "short", "other_bytes"])
def test_audio_that_is_not_what_was_written_is_named(farm, content):
    narration_id = farm.finish()
    key = audio_key(narration_id, AudioFormat.FLAC)
    size_bytes = farm.store.size(key)
    if content is None:
        farm.store.delete(key)
    else:
        farm.store.put(key, content if isinstance(content, bytes) else b"x" * size_bytes, "audio/flac")
    assert broken(audit(farm, narration_id)) == {(Invariant.MANIFEST_IS_WHOLE, key)}


def test_a_manifest_or_a_record_that_is_gone_is_named(farm):
    unproven, lost, vanished = farm.finish(), farm.finish(), new_id()
    farm.store.delete(manifest_key(unproven))
    farm.redis.delete(RedisKeys(farm.settings.redis_prefix).record(lost))
    report = audit(farm, unproven, acknowledged_ids=[unproven, lost, vanished])
    assert {(violation.invariant, violation.narration_id) for violation in report.violations} == {
        (Invariant.MANIFEST_IS_WHOLE, unproven),
        (Invariant.ACCEPTED_IS_KEPT, lost),
        (Invariant.NOTHING_LOST, vanished),
    }


def test_a_narration_that_has_not_ended_at_rest_is_named(farm):
    narration_id = farm.begin()
    assert audit(farm, narration_id, acknowledged_ids=[narration_id]).is_whole
    assert broken(audit(farm, narration_id, is_at_rest=True)) == {(Invariant.ACCEPTED_IS_KEPT, None)}
    report = audit(farm, narration_id, is_at_rest=True, acknowledged_ids=[narration_id])
    assert (Invariant.NOTHING_LOST, None) in broken(report)


def test_a_narration_under_way_whose_request_or_plan_is_gone_is_named(farm):
    narration_id = farm.begin()
    farm.store.delete(request_key(narration_id))
    farm.store.delete(plan_key(narration_id))
    found = broken(audit(farm, narration_id))
    assert found == {(Invariant.ACCEPTED_IS_KEPT, "plan"), (Invariant.MANIFEST_IS_WHOLE, "plan")}


CORRUPTIONS = {
    "counted_twice": (
        lambda redis, keys, each: redis.hincrby(keys.record(each), "num_done", 1),
        (Invariant.COUNTS_AGREE, None),
    ),
    "failure_forgotten": (
        lambda redis, keys, each: redis.hset(keys.record(each), "num_failed", 1),
        (Invariant.COUNTS_AGREE, None),
    ),
    "attempts_miscounted": (
        lambda redis, keys, each: redis.hincrby(keys.record(each), "num_attempts", 3),
        (Invariant.COUNTS_AGREE, None),
    ),
    "in_two_places": (
        lambda redis, keys, each: redis.zadd(keys.delayed(each), {"2": 1}),
        (Invariant.COUNTS_AGREE, "2"),
    ),
    "done_and_waiting": (
        lambda redis, keys, each: redis.zadd(keys.waiting(each), {"0": 1}),
        (Invariant.COUNTS_AGREE, "0"),
    ),
    "nowhere": (lambda redis, keys, each: redis.zrem(keys.waiting(each), "3"), (Invariant.COUNTS_AGREE, "3")),
    "beyond_the_end": (
        lambda redis, keys, each: redis.zadd(keys.waiting(each), {"77": 1}),
        (Invariant.COUNTS_AGREE, "77"),
    ),
    "take_forgotten": (lambda redis, keys, each: redis.hdel(keys.takes(each), "0"), (Invariant.ONE_TAKE_EACH, "0")),
    "take_unreadable": (
        lambda redis, keys, each: redis.hset(keys.takes(each), "0", "{"),
        (Invariant.ONE_TAKE_EACH, "0"),
    ),
    "accepted_twice": (
        lambda redis, keys, each: redis.rpush(keys.log(each), json.dumps({"event": "completed", "item": "0"})),
        (Invariant.ONE_TAKE_EACH, "0"),
    ),
    "stale_call_not_counted": (
        lambda redis, keys, each: redis.rpush(keys.log(each), json.dumps({"event": "rejected", "item": "0"})),
        (Invariant.ONE_TAKE_EACH, None),
    ),
    "ended_too_many_processes": (
        lambda redis, keys, each: redis.rpush(
            keys.log(each), json.dumps({"event": "expired", "item": "1", "num_ends": 3})
        ),
        (Invariant.ATTEMPTS_ARE_BOUNDED, "1"),
    ),
    "tried_too_often": (
        lambda redis, keys, each: redis.hset(keys.attempts(each), "1", 5),
        (Invariant.ATTEMPTS_ARE_BOUNDED, "1"),
    ),
    "lease_without_an_end": (
        lambda redis, keys, each: redis.zadd(keys.leases(each), {"2": 4e12}),
        (Invariant.LEASES_END, "2"),
    ),
    "lease_over": (lambda redis, keys, each: redis.zadd(keys.leases(each), {"2": 1}), (Invariant.LEASES_END, "2")),
    "not_active": (lambda redis, keys, each: redis.zrem(keys.active(), each), (Invariant.ACCEPTED_IS_KEPT, None)),
    "not_listed": (lambda redis, keys, each: redis.zrem(keys.narrations(), each), (Invariant.NO_LEAKS, None)),
    "no_such_state": (
        lambda redis, keys, each: redis.hset(keys.record(each), "state", "asleep"),
        (Invariant.ONE_END, None),
    ),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_record_that_was_changed_is_named(farm, keys, name):
    corrupt, expected = CORRUPTIONS[name]
    narration_id = farm.begin(5, 2)
    assert audit(farm, narration_id).is_whole
    corrupt(farm.redis, keys, narration_id)
    report = audit(farm, narration_id)
    assert expected in broken(report)
    assert {violation.narration_id for violation in report.violations} == {narration_id}


ENDINGS = {
    "a_gap_in_what_succeeded": (
        lambda redis, keys, each: redis.hset(keys.record(each), "num_failed", 1),
        (Invariant.ONE_END, None),
    ),
    "audio_of_what_failed": (
        lambda redis, keys, each: redis.hset(keys.record(each), "state", "failed"),
        (Invariant.ONE_END, None),
    ),
    "no_time_of_its_end": (
        lambda redis, keys, each: redis.hdel(keys.record(each), "finished_ms"),
        (Invariant.ONE_END, None),
    ),
    "still_active": (lambda redis, keys, each: redis.zadd(keys.active(), {each: 1}), (Invariant.ONE_END, None)),
    "kept_for_ever": (lambda redis, keys, each: redis.persist(keys.record(each)), (Invariant.NO_LEAKS, None)),
    "an_item_left": (lambda redis, keys, each: redis.zadd(keys.waiting(each), {"1": 1}), (Invariant.NO_LEAKS, "1")),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_an_end_that_was_changed_is_named(farm, keys, name):
    corrupt, expected = ENDINGS[name]
    narration_id = farm.finish()
    corrupt(farm.redis, keys, narration_id)
    assert expected in broken(audit(farm, narration_id))


def test_two_ends_of_one_narration_are_named(farm):
    open_one, finished = farm.begin(), farm.finish()
    for each in (open_one, finished):
        ending = Ending(narration_id=each, state=State.CANCELLED, finished_at=farm.status(each).created_at)
        farm.store.put(ending_key(each), ending.model_dump_json().encode(), "application/json")
    found = {(violation.invariant, violation.narration_id) for violation in audit(farm, open_one, finished).violations}
    assert found == {(Invariant.ONE_END, open_one), (Invariant.ONE_END, finished)}


def test_a_history_that_tells_another_story_is_named(farm):
    narration_id = farm.finish()
    lines = farm.store.get(takes_key(narration_id)).splitlines(keepends=True)
    kept = [
        line for line in lines if not (json.loads(line)["event"] == "completed" and json.loads(line)["item"] == "2")
    ]
    farm.store.put(takes_key(narration_id), b"".join(kept), "application/x-ndjson")
    assert broken(audit(farm, narration_id)) == {(Invariant.ONE_TAKE_EACH, "2")}
