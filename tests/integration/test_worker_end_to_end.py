"""A real worker on real Valkey and S3: from a request to finished audio, whatever happens to the worker."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from collections import Counter

import pytest
import soundfile
from narrating import Farm, sentences
from processes import descendants, is_alive, wait_for

from producer.contract.keys import plan_key
from producer.contract.narration import Narration
from producer.contract.plan import Plan
from producer.contract.routing import ALL_QUEUES
from producer.contract.status import State
from producer.messages import queue_list
from worker.engine.fingerprint import decode_tones, tone_hash

pytestmark = pytest.mark.integration

#: A lease that runs out while a test waits, and messages that count as lost soon.
IMPATIENT = {"CHATTERQUEUE_LEASE_S": "3", "CHATTERQUEUE_LOST_AFTER_S": "2"}


@pytest.fixture
def farm(settings) -> Farm:
    return Farm(settings)


def tone_narration(num_segments: int, **fields) -> Narration:
    return Narration(text=sentences(num_segments), engine="tone", format="flac", **fields)


def hashes_spoken(farm: Farm, narration_id: str) -> list[str]:
    """Return what the finished audio says, read from its samples."""
    audio = farm.manifest(narration_id).audio
    assert audio is not None
    pcm, rate_hz = soundfile.read(io.BytesIO(farm.store.get(audio.key)), dtype="float32")
    return decode_tones(pcm, rate_hz)


def hashes_planned(farm: Farm, narration_id: str) -> list[str]:
    """Return what it should say, from the plan."""
    plan = Plan.model_validate_json(farm.store.get(plan_key(narration_id)))
    return [tone_hash(segment.text) for segment in plan.segments]


def assert_whole(farm: Farm, narration_id: str) -> None:
    """Fail unless the narration succeeded and its audio holds every segment once, in order."""
    status = farm.wait(narration_id)
    assert status.state is State.SUCCEEDED, status
    assert status.num_done == status.num_segments
    assert hashes_spoken(farm, narration_id) == hashes_planned(farm, narration_id)


def claims_of(farm: Farm, narration_id: str) -> Counter[str]:
    """Return how often each segment was begun, from the log of takes."""
    entries = [json.loads(line) for line in farm.takes_log(narration_id)]
    return Counter(entry["item"] for entry in entries if entry["event"] == "claimed" and entry["item"].isdecimal())


def test_the_audio_holds_every_segment_in_order_when_a_narration_has_run(farm, start_worker):
    worker = start_worker()
    (narration_id,) = farm.submit(tone_narration(40))
    assert_whole(farm, narration_id)
    assert set(claims_of(farm, narration_id).values()) == {1}
    log = worker.log()
    assert log.count("take_finished") == 40
    assert "paragraph number" not in log  # no text in logs


def test_nothing_is_synthesized_again_when_the_same_text_is_narrated_twice(farm, start_worker):
    start_worker()
    (first,) = farm.submit(tone_narration(10))
    assert_whole(farm, first)
    (second,) = farm.submit(tone_narration(10))
    assert_whole(farm, second)
    assert farm.status(second).num_reused == 10


def test_the_narration_is_whole_when_one_of_two_workers_is_killed_in_the_middle(farm, start_worker):
    slow = {**IMPATIENT, "CHATTERQUEUE_TONE_SEGMENT_S": "0.03"}
    doomed, survivor = start_worker(env=slow), start_worker(env=slow)
    (narration_id,) = farm.submit(tone_narration(300))
    farm.wait_for(narration_id, lambda status: status.num_done >= 100, "100 segments done")
    doomed.kill9()
    assert_whole(farm, narration_id)
    assert "take_finished" in doomed.log()
    assert "take_finished" in survivor.log()
    twice = {item for item, count in claims_of(farm, narration_id).items() if count > 1}
    # What the dead worker held was begun again, and nothing else: at most its slots.
    assert len(twice) <= 8
    assert farm.status(narration_id).num_attempts == 300 + len(twice)


def test_the_supervisor_starts_another_process_when_one_is_killed(farm, start_worker):
    worker = start_worker(env={**IMPATIENT, "CHATTERQUEUE_TONE_SEGMENT_S": "0.05"})
    (narration_id,) = farm.submit(tone_narration(60))
    farm.wait_for(narration_id, lambda status: status.num_done >= 10, "10 segments done")
    worker.kill9_children()
    assert_whole(farm, narration_id)
    assert "process_ended" in worker.log()


def test_a_process_is_replaced_and_its_segment_given_up_when_the_engine_hangs(farm, start_worker):
    hung = {"CHATTERQUEUE_TONE_SEGMENT_S": "60", "CHATTERQUEUE_STALLED_AFTER_S": "1", "CHATTERQUEUE_MAX_ATTEMPTS": "1"}
    worker = start_worker(env={**IMPATIENT, **hung})
    (narration_id,) = farm.submit(Narration(text="One.", engine="tone"))
    status = farm.wait(narration_id)
    assert status.state is State.FAILED
    assert status.reason_code == "attempts_exhausted"
    assert "process_stuck" in worker.log()


def test_another_worker_goes_on_at_once_when_one_is_told_to_stop(farm, start_worker):
    # A lease of ten minutes: only what was given back can be taken by the other one in time.
    slow = {"CHATTERQUEUE_TONE_SEGMENT_S": "0.1", "CHATTERQUEUE_LEASE_S": "600", "CHATTERQUEUE_LOST_AFTER_S": "600"}
    leaving = start_worker(env=slow)
    (narration_id,) = farm.submit(tone_narration(60))
    farm.wait_for(narration_id, lambda status: status.num_done >= 5, "5 segments done")
    assert leaving.terminate() == 0
    assert farm.status(narration_id).state is State.RUNNING
    start_worker(env=slow)
    assert_whole(farm, narration_id)
    # What was given back did not count as an attempt.
    assert farm.status(narration_id).num_attempts == 60


def test_long_work_is_given_back_when_the_time_to_drain_is_over(farm, start_worker):
    stuck = {"CHATTERQUEUE_TONE_SEGMENT_S": "50", "CHATTERQUEUE_DRAIN_S": "1", "CHATTERQUEUE_LOST_AFTER_S": "600"}
    leaving = start_worker(env=stuck)
    (narration_id,) = farm.submit(tone_narration(3))
    farm.wait_for(narration_id, lambda status: status.num_attempts == 3, "all segments begun")
    assert leaving.terminate(timeout_s=20) == 0
    start_worker()
    assert_whole(farm, narration_id)
    assert farm.status(narration_id).num_attempts == 3


def test_lost_messages_are_sent_again_when_a_queue_vanishes(farm, start_worker, settings):
    (narration_id,) = farm.submit(tone_narration(20))
    lists = [queue_list(settings, queue) for queue in ALL_QUEUES]
    assert farm.redis.delete(*lists) == 1  # the plan's message
    worker = start_worker(env={**IMPATIENT, "CHATTERQUEUE_TONE_SEGMENT_S": "0.2"})
    farm.wait_for(narration_id, lambda status: status.num_done >= 2, "2 segments done")
    assert farm.redis.delete(*lists) == 1  # the segments' messages
    assert_whole(farm, narration_id)
    assert worker.log().count("items_sent_again") >= 2


def test_a_narration_says_what_it_waits_for_when_no_worker_has_its_engine(farm, start_worker):
    start_worker()
    (narration_id,) = farm.submit(Narration(text="One.", engine="chatterbox"))
    status = farm.wait_for(narration_id, lambda status: status.reason is not None, "waiting for a reason")
    assert status.state is State.RUNNING
    assert status.reason_code == "engine_unavailable"
    assert "chatterbox" in status.reason
    assert status.num_attempts == 0
    farm.ledger.cancel(narration_id)


def test_nothing_more_is_spoken_when_a_narration_is_cancelled(farm, start_worker):
    start_worker(env={"CHATTERQUEUE_TONE_SEGMENT_S": "0.1"})
    (cancelled,) = farm.submit(tone_narration(200))
    farm.wait_for(cancelled, lambda status: status.num_done >= 3, "3 segments done")
    farm.ledger.cancel(cancelled)
    (after,) = farm.submit(Narration(text="After it.", engine="tone", format="flac"))
    assert_whole(farm, after)
    status = farm.status(cancelled)
    assert status.state is State.CANCELLED
    assert status.num_attempts < 40


@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "cut_short"])
def test_only_the_lost_segments_are_spoken_again_when_some_are_lost_before_the_assembly(farm, start_worker, is_gone):
    planning = start_worker(role="cpu")
    (narration_id,) = farm.submit(tone_narration(12))
    farm.wait_for(narration_id, lambda status: status.state is State.RUNNING, "split")
    assert planning.terminate() == 0  # nobody is there to assemble what is spoken now
    speaking = start_worker(role="gpu")
    farm.wait_for(narration_id, lambda status: status.num_done == 12, "12 segments done")
    takes = farm.ledger.takes(narration_id)
    for key in (takes[3].key, takes[7].key):
        data = farm.store.get(key)
        farm.store.delete(key)
        if not is_gone:
            farm.store.put(key, data[: len(data) // 2], "audio/flac")

    assembling = start_worker(role="cpu")

    assert_whole(farm, narration_id)
    assert {item for item, count in claims_of(farm, narration_id).items() if count > 1} == {"3", "7"}
    assert assembling.log().count("segments_reopened") == 1
    # The segment cache is asked and not remembered: what is gone was synthesized, not taken as there.
    assert speaking.log().count("take_finished") == 14
    status = farm.status(narration_id)
    assert (status.num_reused, status.num_attempts) == (0, 14)
    segments = farm.manifest(narration_id).segments
    assert [segment.index for segment in segments if segment.attempts == 2] == [3, 7]
    assert [segment.key for segment in segments] == [takes[index].key for index in range(12)]


def test_each_role_does_its_part_when_the_work_is_split(farm, start_worker):
    start_worker(role="cpu")
    start_worker(role="gpu")
    (narration_id,) = farm.submit(tone_narration(5, priority="high"))
    assert_whole(farm, narration_id)


@pytest.mark.parametrize(
    ("engine", "variables", "status", "words"),
    [
        ("chatterbox", {}, 8, "CHATTERQUEUE_MODEL_DIR"),
        ("chatterbox", {"CHATTERQUEUE_MODEL_DIR": "/nowhere"}, 8, "/nowhere"),
        ("tone", {"CHATTERQUEUE_WINDOW": "many"}, 8, "CHATTERQUEUE_WINDOW"),
    ],
)
def test_the_supervisor_gives_up_when_a_worker_can_never_start(start_worker, engine, variables, status, words):
    worker = start_worker(engine, env=variables, is_awaited=False)
    assert worker.wait() == status
    assert words in worker.log()
    assert "Traceback" not in worker.log()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"CHATTERQUEUE_REDIS_URL": "redis://127.0.0.1:1/0"}, "Redis at redis://127.0.0.1:1/0"),
        ({"CHATTERQUEUE_S3_ENDPOINT_URL": "http://127.0.0.1:1"}, "S3 at http://127.0.0.1:1"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "the credentials are wrong"),
        ({"CHATTERQUEUE_S3_BUCKET": "not-there-at-all"}, "bucket"),
    ],
)
def test_the_worker_says_what_it_cannot_reach_and_is_tried_again(start_worker, variables, words):
    environment = {**variables, "CHATTERQUEUE_START_WAIT_S": "0", "AWS_MAX_ATTEMPTS": "1"}
    worker = start_worker(env=environment, is_awaited=False)
    wait_for(lambda: worker.log().count("process_started") >= 2, "started again", timeout_s=90)
    assert words in worker.log()
    assert re.search(r"process_ended slot=\S+ status=5", worker.log())
    assert "Traceback" not in worker.log()


def test_the_children_end_when_the_supervisor_is_killed(start_worker):
    worker = start_worker()
    children = descendants(worker.pid)
    assert children
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    wait_for(lambda: not any(is_alive(pid) for pid in children), "the children have ended")


def test_the_narration_is_whole_and_nothing_burnt_when_redis_stands_still_for_a_while(farm, start_worker):
    worker = start_worker(env={"CHATTERQUEUE_TONE_SEGMENT_S": "0.05"})
    (narration_id,) = farm.submit(tone_narration(60))
    farm.wait_for(narration_id, lambda status: status.num_done >= 5, "5 segments done")
    pid = farm.redis.info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        # The heartbeat notices, and goes on beating.
        wait_for(lambda: worker.log().count("heartbeat_failed") >= 4, "the heartbeat has failed twice", timeout_s=60)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert_whole(farm, narration_id)
    assert farm.status(narration_id).num_attempts == 60
    assert "process_ended" not in worker.log()
