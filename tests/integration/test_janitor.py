"""What the janitor clears away from a real bucket, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from handwork import HandFarm

from producer.audit import Audit, Scope
from producer.contract.ending import pin_key
from producer.contract.keys import RedisKeys, new_id, plan_key, request_key, request_pack_key
from producer.contract.narration import Narration, NarrationRequest
from producer.contract.status import State
from producer.endings import mark_ended
from producer.ledger import NewNarration
from producer.ledger.restoring import Restoring
from producer.requestpack import packs_of
from producer.storage import StorageRefusedError
from producer.storage.inventory import BegunUpload, BucketInventory, StoredObject
from worker.upkeep import janitor as janitor_module
from worker.upkeep.janitor import Janitor
from worker.upkeep.segmentsweep import SegmentSweep

pytestmark = pytest.mark.integration

DAY_S = 86_400.0


class AgedInventory(BucketInventory):
    """A bucket whose objects seem older than they are."""

    aged_by_s = 0.0

    def list_objects(self, prefix: str = "", *, start_after: str | None = None) -> Iterator[StoredObject]:
        for stored in super().list_objects(prefix, start_after=start_after):
            yield replace(stored, age_s=stored.age_s + self.aged_by_s)

    def list_uploads(self) -> Iterator[BegunUpload]:
        for upload in super().list_uploads():
            yield replace(upload, age_s=upload.age_s + self.aged_by_s)


@pytest.fixture
def farm(settings, tmp_path) -> HandFarm:
    return HandFarm(settings, tmp_path)


@pytest.fixture
def bucket(settings) -> AgedInventory:
    return AgedInventory.connect(settings)


@pytest.fixture
def janitor(farm, bucket) -> Janitor:
    return Janitor(
        store=bucket,
        records=Restoring(farm.redis, farm.settings),
        retention_s=7 * DAY_S,
        upload_grace_s=DAY_S,
        sweep=lambda: 0,
    )


def forget(farm: HandFarm, narration_id: str) -> None:
    """Let a record expire."""
    farm.redis.delete(RedisKeys(farm.settings.redis_prefix).record(narration_id))


def test_uploads_are_aborted_when_they_are_older_than_the_grace(farm, bucket, janitor, settings):
    with farm.store.upload("narrations/x/audio.wav", "audio/wav") as upload:
        upload.write(bytes(9 * 1024 * 1024))
        assert not janitor.run_once()
        bucket.aged_by_s = DAY_S
        assert dict(janitor.run_once()) == {"uploads": 1}
        assert not janitor.run_once()
        upload.abort()  # what has been aborted can be aborted again
    farm.store.delete("narrations/x/audio.wav")
    auditor = Audit(settings)
    assert auditor.run(Scope(grace_s=0.0)).is_whole
    auditor.close()


def test_what_came_to_nothing_is_removed_after_the_retention_and_nothing_else(farm, bucket, janitor):
    abandoned, cancelled, finished = new_id(), farm.begin(2, 1), farm.finish(2)
    kept, running, lost = farm.begin(2), farm.begin(2, 1, seed=1), farm.begin(2)
    farm.store.put(request_key(abandoned), b"{}", "application/json")
    farm.ledger.cancel(cancelled)
    mark_ended(farm.store, cancelled, State.CANCELLED)
    farm.ledger.cancel(kept)  # its record is still there
    for each in (cancelled, finished, lost):
        forget(farm, each)
    everything = set(farm.store.list_keys("narrations/"))

    assert not janitor.run_once()
    bucket.aged_by_s = 7.5 * DAY_S
    assert not janitor.run_once()
    bucket.aged_by_s = 8 * DAY_S
    assert janitor.run_once()["narration_objects"] == 4

    gone = everything - set(farm.store.list_keys("narrations/"))
    assert {key.split("/")[1] for key in gone} == {abandoned, cancelled}
    assert not {plan_key(running), plan_key(lost)} & gone
    assert not janitor.run_once()


def test_a_large_bucket_is_gone_through_step_by_step(farm, bucket, janitor, monkeypatch):
    monkeypatch.setattr(janitor_module, "STEP", 3)
    ids = [new_id() for _ in range(5)]
    for each in ids:
        farm.store.put(request_key(each), b"{}", "application/json")
        farm.store.put(pin_key(each), b"{}", "application/json")
    bucket.aged_by_s = 9 * DAY_S
    steps = [janitor.run_once()["narration_objects"] for _ in range(8)]
    assert sum(steps) == 10
    assert max(steps) <= 3
    assert list(farm.store.list_keys("narrations/")) == []


def test_what_the_keys_do_not_allow_is_left_out_and_said_once(farm, bucket, janitor, monkeypatch, caplog):
    """A worker with narrow rights leaves uploads to the bucket's own rule and goes on with the rest."""

    def refuse() -> Iterator[BegunUpload]:
        raise StorageRefusedError("s3", "the credentials do not give the right to do this")

    monkeypatch.setattr(bucket, "list_uploads", refuse)
    farm.store.put(request_key(new_id()), b"{}", "application/json")
    bucket.aged_by_s = 9 * DAY_S
    assert dict(janitor.run_once()) == {"narration_objects": 1}
    assert not janitor.run_once()
    assert [record.what for record in caplog.records if record.message == "clearing_refused"] == ["uploads"]


@pytest.mark.parametrize("is_split", [True, False])
def test_a_pack_goes_when_each_of_its_narrations_stands_alone(farm, bucket, janitor, is_split):
    batch_id = new_id()
    requests = [
        NarrationRequest.new(Narration(text=f"Number {at}.", engine="tone"), narration_id=new_id(), batch_id=batch_id)
        for at in range(2)
    ]
    packs, refs = packs_of(requests, batch_id)
    farm.store.put(packs[0].key, packs[0].content, "application/x-ndjson")
    farm.ledger.create([NewNarration(request, ref) for request, ref in zip(requests, refs, strict=True)])
    for request in requests[: 2 if is_split else 1]:
        farm.planner.run(request.id)
    bucket.aged_by_s = 9 * DAY_S
    assert janitor.run_once()["packs"] == is_split
    assert farm.store.exists(request_pack_key(batch_id, 0)) != is_split


def test_segments_that_nothing_names_are_swept_only_if_that_is_asked_for(farm, bucket):
    named = farm.finish(3)
    unnamed = farm.begin(3, 3, seed=1)
    farm.ledger.cancel(unnamed)
    all_segments = set(farm.store.list_keys("segments/"))
    bucket.aged_by_s = 30 * DAY_S

    def sweep_all(keep_days: int | None) -> int:
        sweep = SegmentSweep(bucket, keep_days=keep_days, is_idle=lambda: not farm.ledger.active())
        return sum(sweep.run_once() for _ in range(256))

    assert sweep_all(None) == 0
    assert sweep_all(31) == 0
    busy = farm.enter()
    assert sweep_all(30) == 0  # a narration under way may be about to use them
    farm.ledger.cancel(busy)
    assert sweep_all(30) == 3
    assert len(all_segments - set(farm.store.list_keys("segments/"))) == 3
    auditor = Audit(farm.settings)
    assert auditor.run(Scope(narration_ids=[named])).is_whole
    auditor.close()
