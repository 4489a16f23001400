"""What the audit finds that belongs to nobody, or that nobody may know, on a real Valkey and S3."""

from __future__ import annotations

import json

import pytest
from auditing import audit, broken

from producer.audit import Invariant
from producer.contract.keys import RedisKeys, audio_key, new_id, request_key
from producer.contract.narration import AudioFormat

pytestmark = pytest.mark.integration


def test_objects_that_belong_to_nothing_are_named_after_the_grace(own_farm):
    farm = own_farm
    narration_id, nobody = farm.finish(), new_id()
    orphans = [
        f"narrations/{narration_id}/notes.txt",
        audio_key(narration_id, AudioFormat.MP3),
        request_key(nobody),
        "narrations/readme.txt",
    ]
    for key in orphans:
        farm.store.put(key, b"x", "text/plain")
    assert audit(farm).is_whole
    assert broken(audit(farm, grace_s=0.0)) == {(Invariant.NO_ORPHANS, key) for key in orphans}


def test_an_upload_that_nobody_finishes_is_named(own_farm):
    farm = own_farm
    with farm.store.upload("narrations/x/audio.wav", "audio/wav") as upload:
        upload.write(bytes(9 * 1024 * 1024))
        assert audit(farm).is_whole
        report = audit(farm, grace_s=0.0)
        assert broken(report) == {(Invariant.NO_BROKEN_UPLOADS, "narrations/x/audio.wav")}
        upload.abort()
    farm.store.delete("narrations/x/audio.wav")
    assert audit(farm, grace_s=0.0).is_whole


def test_keys_without_a_record_are_named(own_farm):
    farm, keys = own_farm, RedisKeys(own_farm.settings.redis_prefix)
    nobody = new_id()
    farm.redis.rpush(keys.log(nobody), "{}")
    farm.redis.zadd(keys.active(), {nobody: 1})
    farm.redis.zadd(keys.batch(nobody), {nobody: 1})
    assert broken(audit(farm)) == {
        (Invariant.NO_LEAKS, keys.log(nobody)),
        (Invariant.NO_LEAKS, keys.active()),
        (Invariant.NO_LEAKS, keys.batch(nobody)),
    }


def test_the_canary_is_found_wherever_it_is(own_farm, settings):
    farm = own_farm
    farm.begin()
    assert audit(farm, canary="cuckoo").is_whole
    prefix = settings.redis_prefix
    farm.redis.set(f"{prefix}a", "the cuckoo sings")
    farm.redis.hset(f"{prefix}b", "cuckoo", "1")
    farm.redis.zadd(f"{prefix}c", {"cuckoo": 1})
    farm.redis.sadd(f"{prefix}d", "cuckoo")
    farm.redis.rpush(f"{prefix}celery:q", json.dumps({"body": "eyJhIjogImN1Y2tvbyJ9"}))
    farm.store.put("segments/cuckoo.flac", b"x", "audio/flac")
    report = audit(farm, canary="cuckoo")
    assert {item for invariant, item in broken(report) if invariant is Invariant.NO_SECRETS} == {
        *(f"{prefix}{name}" for name in ("a", "b", "c", "d", "celery:q")),
        "segments/***.flac",
    }
