"""A ledger put back from S3 after Redis was emptied: what was where, and that nothing is spoken twice."""

from __future__ import annotations

import time

import pytest
from handwork import HandFarm
from ledgerwork import fail_for_good

from producer.audit import Audit, Scope
from producer.contract.ending import Ending, EnginePin, ending_key, pin_key
from producer.contract.keys import RedisKeys, new_id, plan_key, request_key, request_pack_key
from producer.contract.narration import Narration, NarrationRequest
from producer.contract.status import State
from producer.endings import mark_ended, unmark_ended
from producer.ledger import Creation, NewNarration, Outcome
from producer.ledger.restoring import Restoring
from producer.requestpack import packs_of
from producer.storage.inventory import BucketInventory
from worker.heartbeat import BEAT_S
from worker.lock import Lock
from worker.settings import WorkerSettings
from worker.upkeep import Upkeep, found, storedtakes
from worker.upkeep.epoch import Epoch
from worker.upkeep.keepsakes import Keepsakes
from worker.upkeep.rebuild import BrokenOffError, Rebuild
from worker.upkeep.restorer import Restorer
from worker.upkeep.upkeep import NOTICE_S

pytestmark = pytest.mark.integration

DAY_S = 86_400.0


@pytest.fixture
def farm(settings, tmp_path) -> HandFarm:
    return HandFarm(settings, tmp_path)


class Rebuilder:
    """Empties Redis of what is under the test's prefix, and rebuilds it."""

    def __init__(self, farm: HandFarm) -> None:
        self._farm = farm
        self._store = BucketInventory.connect(farm.settings)
        self._ledger = Restoring(farm.redis, farm.settings, window=8)
        self.identity: str | None = None
        self.keepsakes = Keepsakes(farm.redis, RedisKeys(farm.settings.redis_prefix), self._store)

    def empty(self) -> None:
        for key in self._farm.redis.scan_iter(match=f"{self._farm.settings.redis_prefix}*"):
            self._farm.redis.delete(key)

    def rebuild(self, *, may_go_on=lambda: True) -> Rebuild:
        restorer = Restorer(
            ledger=self._ledger,
            store=self._store,
            messenger=self._farm.messenger,
            retention_s=lambda state: 7 * DAY_S,
            identity=lambda recipe: self.identity,
            worker="rebuilder",
        )
        walk = Rebuild(
            store=self._store,
            ledger=self._ledger,
            restorer=restorer,
            cancel=self._farm.ledger.cancel,
            longest_retention_s=7 * DAY_S,
            may_go_on=may_go_on,
        )
        walk.run()
        for narration_id in self._farm.ledger.active():
            self._farm.ledger.reconcile(narration_id, grace_s=60.0, heads={})
        return walk


@pytest.fixture
def rebuilder(farm) -> Rebuilder:
    return Rebuilder(farm)


def assert_whole(farm: HandFarm) -> None:
    auditor = Audit(farm.settings)
    report = auditor.run(Scope(grace_s=0.0))
    auditor.close()
    assert report.is_whole, [str(violation) for violation in report.violations]


def test_a_narration_goes_on_where_it_was_and_no_finished_segment_is_spoken_again(farm, rebuilder):
    narration_id = farm.begin(12)
    farm.speak(narration_id, [0, 1, 3, 5])  # 2 and 4 were being spoken
    rebuilder.keepsakes.run_once()
    before = farm.status(narration_id)
    spoken = list(farm.engine.spoken)
    rebuilder.empty()

    assert dict(rebuilder.rebuild().counts) == {"planned": 1}

    status = farm.status(narration_id)
    assert (status.state, status.num_done, status.num_segments) == (State.RUNNING, 4, 12)
    assert (status.engine_identity, status.created_at) == ("tone/1", status.started_at)
    assert abs((status.created_at - before.created_at).total_seconds()) < 5
    assert_whole(farm)
    farm.speak(narration_id, [2, 4, 6, 7, 8, 9, 10, 11, 0, 1])
    farm.assembler.run(narration_id)
    assert farm.status(narration_id).state is State.SUCCEEDED
    assert len(farm.engine.spoken) == len(set(farm.engine.spoken)) == 12
    assert farm.engine.spoken[:4] == spoken
    assert_whole(farm)


def test_a_stored_segment_that_is_no_audio_is_spoken_again(farm, rebuilder):
    narration_id = farm.begin(4, 3)
    rebuilder.keepsakes.run_once()
    takes = farm.ledger.takes(narration_id)
    farm.store.put(takes[0].key, b"", "audio/flac")
    farm.store.put(takes[1].key, b"cut", "audio/flac")
    rebuilder.empty()
    rebuilder.rebuild()
    assert set(farm.ledger.takes(narration_id)) == {2}
    farm.speak(narration_id, range(4))
    farm.assembler.run(narration_id)
    assert_whole(farm)


def test_the_search_ends_where_more_segments_are_missing_than_a_window_holds(farm, rebuilder, monkeypatch):
    """What lies behind such a gap is found by the worker that takes it up."""
    monkeypatch.setattr(storedtakes, "STEP", 2)
    monkeypatch.setattr(storedtakes, "MAX_WINDOW", 4)
    first, second = farm.begin(12), farm.begin(12, seed=1)
    farm.speak(first, [0, 5, 7])  # never more than four in a row are missing
    farm.speak(second, [0, 7])
    rebuilder.keepsakes.run_once()
    rebuilder.empty()
    rebuilder.rebuild()
    assert set(farm.ledger.takes(first)) == {0, 5, 7}
    assert set(farm.ledger.takes(second)) == {0}
    farm.speak(second, range(12))
    assert len(farm.engine.spoken) == 3 + 12


def test_what_was_found_is_what_would_have_been_reused(farm, rebuilder):
    """The facts of a take that was put back are those of a take from the cache."""
    narration_id = farm.begin(3, 3)
    rebuilder.keepsakes.run_once()
    takes = farm.ledger.takes(narration_id)
    rebuilder.empty()
    rebuilder.rebuild()
    facts = {"is_reused": True, "synthesis_s": 0.0, "worker": "rebuilder"}
    assert farm.ledger.takes(narration_id) == {at: take.model_copy(update=facts) for at, take in takes.items()}
    farm.assembler.run(narration_id)
    assert farm.status(narration_id).state is State.SUCCEEDED


@pytest.mark.parametrize("identity", ["tone/1", "another/1", None])
def test_without_a_pin_the_own_engine_is_tried_and_binds_only_if_it_has_spoken(farm, rebuilder, identity):
    narration_id = farm.begin(5, 2)
    rebuilder.identity = identity
    rebuilder.empty()
    rebuilder.rebuild()
    status = farm.status(narration_id)
    has_spoken = identity == "tone/1"
    assert (status.num_done, status.engine_identity) == ((2, "tone/1") if has_spoken else (0, None))
    farm.speak(narration_id, range(5))
    farm.assembler.run(narration_id)
    assert len(farm.engine.spoken) == 5  # what was not found by the rebuild is found by the worker


def test_a_pin_to_another_engine_outlives_the_ledger(farm, rebuilder):
    narration_id = farm.begin(3)
    pin = EnginePin(engine_identity="chatterbox/int8").model_dump_json().encode()
    farm.store.put(pin_key(narration_id), pin, "application/json")
    rebuilder.empty()
    rebuilder.rebuild()
    farm.speak(narration_id, [0])
    assert farm.status(narration_id).reason_code == "engine_unavailable"
    assert farm.engine.spoken == []


def test_what_has_ended_is_there_again_as_it_was(farm, rebuilder):
    whole = farm.finish(3, title="Whole", custom_id="w")
    partial = farm.begin(3)
    farm.speak(partial, [0, 2])
    fail_for_good(farm.ledger, partial, "1")
    farm.assembler.run(partial)
    cancelled, failed = farm.begin(3, 1), farm.enter()
    farm.ledger.cancel(cancelled)
    fail_for_good(farm.ledger, failed, "plan")
    ids = [whole, partial, cancelled, failed]
    assert farm.status(failed).state is State.FAILED
    rebuilder.keepsakes.run_once()
    before = [farm.status(each) for each in ids]
    rebuilder.empty()

    assert dict(rebuilder.rebuild().counts) == {"finished": 2, "ended": 2}

    changing = {"created_at", "started_at", "finished_at", "num_attempts", "engine_s"}
    unknown = {"num_segments", "num_done", "num_reused", "audio_s", "engine_identity"}  # of what left no manifest
    for old, new in zip(before, (farm.status(each) for each in ids), strict=True):
        left_out = changing | (unknown if old.state in {State.CANCELLED, State.FAILED} else set())
        assert new.model_dump(exclude=left_out) == old.model_dump(exclude=left_out)
        assert abs((new.finished_at - old.finished_at).total_seconds()) < 30
    assert farm.ledger.active() == []
    assert 0 < farm.redis.pttl(RedisKeys(farm.settings.redis_prefix).record(whole)) <= 7 * 86_400_000
    assert_whole(farm)


def test_what_was_deleted_does_not_rise_again(farm, rebuilder):
    batch_id = new_id()
    request = NarrationRequest.new(Narration(text="One."), narration_id=new_id(), batch_id=batch_id)
    packs, _ = packs_of([request], batch_id)
    farm.store.put(packs[0].key, packs[0].content, "application/x-ndjson")
    deleted, half_deleted, noted = farm.finish(), farm.begin(), farm.begin(3, 1)
    for each in (deleted, request.id):
        mark_ended(farm.store, each, None, batch_id=batch_id)
    farm.store.delete(request_key(half_deleted))
    farm.store.put(f"narrations/{noted}/deleted.json", b"{}", "application/json")
    rebuilder.rebuild()
    assert farm.status(noted).state is State.CANCELLED
    rebuilder.empty()
    assert not +rebuilder.rebuild().counts
    assert farm.ledger.read([deleted, half_deleted, noted, request.id]) == [None] * 4


def test_what_is_tried_again_is_not_held_to_have_ended(farm, rebuilder):
    cancelled = farm.begin(3, 1)
    farm.ledger.cancel(cancelled)
    rebuilder.keepsakes.run_once()
    unmark_ended(farm.store, cancelled)
    rebuilder.empty()
    assert dict(rebuilder.rebuild().counts) == {"planned": 1}


def test_a_cancellation_that_redis_has_forgotten_is_carried_out_again(farm, rebuilder):
    """The end of the append-only file was lost: the record says that it runs, S3 that it was cancelled."""
    narration_id = farm.begin(3, 1)
    mark_ended(farm.store, narration_id, State.CANCELLED)
    rebuilder.rebuild()
    assert farm.status(narration_id).state is State.CANCELLED


def test_requests_that_were_not_split_are_queued_again_but_for_those_that_are_just_arriving(
    farm, rebuilder, monkeypatch
):
    single = farm.enter()
    batch_id = new_id()
    requests = [
        NarrationRequest.new(Narration(text=f"Number {at}."), narration_id=new_id(), batch_id=batch_id)
        for at in range(3)
    ]
    packs, refs = packs_of(requests, batch_id)
    farm.store.put(packs[0].key, packs[0].content, "application/x-ndjson")
    farm.ledger.create([NewNarration(request, ref) for request, ref in zip(requests, refs, strict=True)])
    farm.planner.run(requests[0].id)
    farm.speak(requests[0].id, [0])
    rebuilder.empty()

    first = rebuilder.rebuild()
    assert first.is_unfinished
    assert farm.ledger.read([single, requests[1].id]) == [None, None]

    for module in (found, __import__("worker.upkeep.rebuild", fromlist=["rebuild"])):
        monkeypatch.setattr(module, "SUBMIT_GRACE_S", 0.0)
    second = rebuilder.rebuild()
    assert not second.is_unfinished
    assert dict(second.counts) == {"submitted": 3}
    assert {farm.status(each.id).state for each in requests[1:]} == {State.QUEUED}
    assert [each.id for each in farm.ledger.recent(batch_id=batch_id)] == [each.id for each in requests[::-1]]
    for request in requests[1:]:
        farm.store.delete(request_pack_key(batch_id, 0))  # each stands alone now
        farm.planner.run(request.id)
        farm.speak(request.id, [0])
        farm.assembler.run(request.id)
        assert farm.status(request.id).state is State.SUCCEEDED
    # A submit that comes late with the same content finds its narration.
    assert farm.ledger.create([NewNarration(requests[1], refs[1])]) == [Creation(requests[1].id, Outcome.EXISTS, 0)]


def test_a_request_under_a_key_is_put_back_under_the_name_that_workers_read(farm, rebuilder):
    narration = Narration(text="One. Two.", idempotency_key="k", engine="tone", format="flac")
    request = NarrationRequest.new(narration, narration_id=new_id())
    ref = request_key(request.id, narration.content_hash())
    farm.store.put(ref, request.model_dump_json().encode(), "application/json")
    farm.ledger.create([NewNarration(request, ref)])
    farm.planner.run(request.id)
    farm.store.delete(request_key(request.id))
    rebuilder.empty()
    rebuilder.rebuild()
    farm.speak(request.id, range(farm.status(request.id).num_segments))
    farm.assembler.run(request.id)
    assert farm.status(request.id).state is State.SUCCEEDED
    assert_whole(farm)


def test_what_cannot_be_read_is_left_out_and_the_rest_put_back(farm, rebuilder):
    broken, newer, whole = farm.begin(), farm.begin(), farm.begin()
    farm.store.put(request_key(broken), b"{", "application/json")
    farm.store.put(plan_key(newer), farm.store.get(plan_key(newer)).replace(b'_version":1', b'_version":99'), "x/y")
    rebuilder.empty()
    assert dict(rebuilder.rebuild().counts) == {"planned": 1, "unreadable": 2}
    assert [each is None for each in farm.ledger.read([broken, newer, whole])] == [True, True, False]


def test_a_rebuild_that_was_broken_off_is_taken_up_again(farm, rebuilder):
    ids = [farm.begin(3, 1, seed=seed) for seed in range(3)]
    rebuilder.keepsakes.run_once()
    rebuilder.empty()
    answers = iter([True, True, True, False])
    with pytest.raises(BrokenOffError):
        rebuilder.rebuild(may_go_on=lambda: next(answers))
    assert 0 < sum(status is not None for status in farm.ledger.read(ids)) < 3
    rebuilder.rebuild()
    assert [status.num_done for status in farm.ledger.read(ids)] == [1, 1, 1]
    assert not rebuilder.rebuild().counts


def test_ends_that_were_not_seen_are_marked_later_and_only_once(farm, rebuilder):
    cancelled, finished = farm.begin(), farm.finish()
    farm.ledger.cancel(cancelled)
    assert rebuilder.keepsakes.run_once() == 1
    ending = Ending.model_validate_json(farm.store.get(ending_key(cancelled)))
    assert (ending.state, ending.narration_id) == (State.CANCELLED, cancelled)
    assert not farm.store.exists(ending_key(finished))
    again = Keepsakes(farm.redis, RedisKeys(farm.settings.redis_prefix), farm.store)
    assert (again.run_once(), rebuilder.keepsakes.run_once()) == (0, 0)
    running = farm.begin(3, 1)
    assert rebuilder.keepsakes.run_once() == 1
    assert farm.store.exists(pin_key(running))
    farm.ledger.cancel(running)
    assert rebuilder.keepsakes.run_once() == 1
    assert farm.store.exists(ending_key(running))


def test_the_epoch_is_unsettled_when_redis_was_emptied_or_is_another(farm, settings):
    keys = RedisKeys(settings.redis_prefix)
    epoch, other, key = Epoch(farm.redis, keys), Epoch(farm.redis, keys), keys.epoch()
    assert not epoch.is_settled()
    epoch.begin()
    assert not other.is_settled()
    assert epoch.settle()
    assert other.is_settled()
    farm.redis.set(key, "a server that was restarted")
    assert not epoch.is_settled()
    epoch.begin()
    farm.redis.delete(key)  # emptied in the middle of the rebuild
    assert not epoch.settle()
    assert not epoch.is_settled()


def test_a_rebuild_begins_when_every_process_knows_that_its_claims_are_gone(farm, rebuilder, monkeypatch):
    narration_id = farm.begin(3, 1)
    rebuilder.keepsakes.run_once()
    rebuilder.empty()
    upkeep = Upkeep(
        settings=WorkerSettings.load(redis_prefix=farm.settings.redis_prefix, s3_prefix=farm.settings.s3_prefix),
        redis=farm.redis,
        ledger=farm.ledger,
        restoring=Restoring(farm.redis, farm.settings, window=8),
        store=BucketInventory.connect(farm.settings),
        messenger=farm.messenger,
        identity=lambda recipe: None,
        worker="rebuilder",
    )
    now_s = time.monotonic()
    for after_s, is_known in ((0.0, False), (BEAT_S, False), (NOTICE_S + 0.1, True)):
        monkeypatch.setattr(time, "monotonic", lambda after_s=after_s: now_s + after_s)
        upkeep.run_once()
        assert (farm.ledger.read([narration_id])[0] is not None) is is_known
    assert farm.status(narration_id).num_done == 1


def test_one_process_holds_the_lock_until_it_lets_go(farm, settings, monkeypatch):
    first, second = (Lock(farm.redis, RedisKeys(settings.redis_prefix).upkeep_lock(), lock_s=20.0) for _ in range(2))
    assert (first.hold(), second.hold(), first.hold()) == (True, False, True)
    monkeypatch.setattr(time, "monotonic", lambda: 1e9)  # long after the last answer
    assert (first.hold(), second.hold()) == (True, False)
    first.release()
    assert second.hold()
