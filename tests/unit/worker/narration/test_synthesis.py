from __future__ import annotations

import hashlib
import threading

import pytest
from processes import wait_for
from speechlike import speechlike_wav
from workerfakes import (
    NARRATION_ID,
    RATE_HZ,
    FakeCodec,
    FakeEngine,
    FakeEngines,
    FakeLedger,
    FakeMessenger,
    FakeStore,
    dispatch,
    plan_of,
    request_of,
    store_with,
)

from producer.contract.errors import StorageUnavailableError
from producer.contract.keys import segment_key, voice_audio_key
from producer.contract.narration import EngineName, ModelName
from worker.errors import DrainingError
from worker.narration import lookout, synthesis
from worker.narration.attempt import Attempts
from worker.narration.drain import Drain
from worker.narration.lease import LeaseBook
from worker.narration.recipe import RecipeShelf
from worker.narration.synthesis import Synthesizer
from worker.quality import Gate
from worker.voices import VoiceShelf


@pytest.fixture(autouse=True)
def _look_often(monkeypatch):
    monkeypatch.setattr(synthesis, "LOOK_S", 0.01)
    monkeypatch.setattr(lookout, "LOOK_S", 0.01)
    monkeypatch.setattr("producer.storage.retry.FIRST_WAIT_S", 0.001)


class Bench:
    def __init__(
        self, tmp_path, *, engine: FakeEngine | None = None, store: FakeStore | None = None, drain_s=0.0, gate=None
    ):
        self.engine = engine or FakeEngine()
        self.store = store or store_with(request_of(), plan_of("One.", "Two."))
        self.ledger = FakeLedger(answer=dispatch("5"))
        self.book = LeaseBook()
        self.drain = Drain(drain_s)
        attempts = Attempts(
            ledger=self.ledger,
            messenger=FakeMessenger(),
            book=self.book,
            drain=self.drain,
            worker="host:1",
            end_process=lambda reason: None,
        )
        self.synthesizer = Synthesizer(
            attempts=attempts,
            ledger=self.ledger,
            store=self.store,
            engines=FakeEngines(self.engine),
            voices=VoiceShelf(self.store, tmp_path / "voices"),
            recipes=RecipeShelf(self.store),
            codec=FakeCodec(),
            gate=gate or Gate(max_retakes=2),
            worker="host:1",
        )

    def run(self, index: int = 0) -> None:
        self.synthesizer.run(NARRATION_ID, index)

    def run_in_thread(self) -> tuple[threading.Thread, list[DrainingError]]:
        errors: list[DrainingError] = []

        def body() -> None:
            try:
                self.run()
            except DrainingError as error:
                errors.append(error)

        thread = threading.Thread(target=body)
        thread.start()
        return thread, errors


def test_the_take_is_stored_under_its_hash_and_completed(tmp_path):
    bench = Bench(tmp_path)
    bench.run(1)
    (request,) = bench.engine.requests
    assert request.text == "Two."
    assert request.model is ModelName.ENGLISH
    take = bench.ledger.last("complete")["take"]
    assert take.key == segment_key(request.content_hash("fake/1"))
    assert bench.store.objects[take.key] == b"samples 8000"
    assert (take.num_samples, take.sample_rate_hz, take.seed) == (RATE_HZ, RATE_HZ, request.seed)
    assert not take.is_reused
    assert bench.ledger.last("claim")["engine_identity"] == "fake/1"


def test_nothing_is_spoken_when_the_segment_is_in_the_cache(tmp_path):
    Bench(tmp_path, store=(store := store_with(request_of(), plan_of("One.")))).run()
    bench = Bench(tmp_path, store=store)
    bench.run()
    assert bench.engine.requests == []
    take = bench.ledger.last("complete")["take"]
    assert take.is_reused
    assert take.num_samples == RATE_HZ
    assert take.synthesis_s == 0.0


def test_a_damaged_segment_is_made_anew(tmp_path):
    first = Bench(tmp_path)
    first.run()
    key = first.ledger.last("complete")["take"].key
    first.store.objects[key] = b"garbage"
    second = Bench(tmp_path, store=first.store)
    second.run()
    assert not second.ledger.last("complete")["take"].is_reused
    assert first.store.objects[key] == b"samples 8000"


def test_the_upload_is_tried_again_and_not_the_synthesis_when_s3_is_away_for_a_moment(tmp_path):
    bench = Bench(tmp_path)
    bench.store.num_failures = 3
    bench.run()
    assert len(bench.engine.requests) == 1
    assert bench.store.num_puts == 4
    assert bench.ledger.names() == ["claim", "complete"]


def test_nothing_is_claimed_when_the_plan_cannot_be_read_because_s3_is_away(tmp_path):
    bench = Bench(tmp_path)
    bench.store.is_away = True
    with pytest.raises(StorageUnavailableError):
        bench.run()
    assert bench.ledger.names() == []


def test_the_segment_fails_when_its_plan_is_gone(tmp_path):
    bench = Bench(tmp_path, store=store_with(request_of()))
    bench.run()
    assert bench.ledger.last("claim")["engine_identity"] is None
    assert bench.ledger.last("fail")["code"] == "object_not_found"


def test_only_the_segments_of_a_voice_fail_when_its_recording_is_gone(tmp_path):
    request = request_of().model_copy(update={"voices_sha256": {"ada": "a" * 64}})
    plan = plan_of("One.", "Two.")
    first, second = plan.segments
    spoken = plan.model_copy(update={"segments": (first.model_copy(update={"voice": "ada"}), second)})
    bench = Bench(tmp_path, store=store_with(request, spoken))
    bench.run(0)
    failure = bench.ledger.last("fail")
    assert (failure["code"], failure["is_final"]) == ("voice_missing", True)
    assert "a" * 64 in failure["reason"]
    bench.run(1)
    assert bench.ledger.last("complete")["index"] == 1
    assert [asked.text for asked in bench.engine.requests] == ["Two."]


def test_the_same_text_in_two_voices_is_two_segments_of_the_cache(tmp_path):
    recordings = {name: speechlike_wav(1.0, pitch_hz=pitch_hz) for name, pitch_hz in (("ada", 220.0), ("bo", 110.0))}
    hashes = {name: hashlib.sha256(audio).hexdigest() for name, audio in recordings.items()}
    request = request_of().model_copy(update={"voices_sha256": hashes})
    plan = plan_of("So.", "So.", "So.")
    voices = (None, "ada", "bo")
    spoken = [each.model_copy(update={"voice": name}) for each, name in zip(plan.segments, voices, strict=True)]
    bench = Bench(tmp_path, store=store_with(request, plan.model_copy(update={"segments": tuple(spoken)})))
    for name, audio in recordings.items():
        bench.store.objects[voice_audio_key(hashes[name])] = audio
    for index in range(3):
        bench.run(index)
    heard = [asked.voice and asked.voice.sha256 for asked in bench.engine.requests]
    assert heard == [None, hashes["ada"], hashes["bo"]]
    assert all(asked.voice is None or asked.voice.path.is_file() for asked in bench.engine.requests)
    keys = [fields["take"].key for name, fields in bench.ledger.calls if name == "complete"]
    assert len(set(keys)) == 3


def test_the_segment_is_offered_to_others_when_the_engine_is_not_here(tmp_path):
    request = request_of(engine=EngineName.CHATTERBOX)
    bench = Bench(tmp_path, store=store_with(request, plan_of("One.")))
    bench.run()
    assert bench.ledger.last("claim")["engine_identity"] is None  # nothing is pinned
    assert "chatterbox" in bench.ledger.last("release")["reason"]


def test_the_wait_goes_on_until_the_engine_has_spoken(tmp_path):
    bench = Bench(tmp_path, engine=FakeEngine(is_held=True))
    thread, errors = bench.run_in_thread()
    wait_for(lambda: bool(bench.engine.futures), "the engine was asked")
    future = bench.engine.futures[0]
    assert future.set_running_or_notify_cancel()
    spoken = FakeEngine().submit(bench.engine.requests[0]).result()
    future.set_result(spoken)
    thread.join(5)
    assert not errors
    assert bench.ledger.names() == ["claim", "complete"]


def test_a_segment_that_is_not_begun_is_given_back_at_once_when_the_process_drains(tmp_path):
    bench = Bench(tmp_path, engine=FakeEngine(is_held=True), drain_s=600)
    thread, errors = bench.run_in_thread()
    wait_for(lambda: bool(bench.engine.futures), "the engine was asked")
    bench.drain.begin()
    thread.join(5)
    assert isinstance(errors[0], DrainingError)
    assert bench.engine.futures[0].cancelled()
    assert bench.ledger.names() == ["claim", "release"]


def test_a_segment_that_was_begun_is_given_back_when_the_time_to_drain_is_over(tmp_path):
    bench = Bench(tmp_path, engine=FakeEngine(is_held=True), drain_s=0.05)
    thread, errors = bench.run_in_thread()
    wait_for(lambda: bool(bench.engine.futures), "the engine was asked")
    bench.engine.futures[0].set_running_or_notify_cancel()
    bench.drain.begin()
    thread.join(5)
    assert isinstance(errors[0], DrainingError)
    assert bench.ledger.names() == ["claim", "release"]


def test_a_take_is_dropped_when_the_lease_is_lost_while_it_is_spoken(tmp_path):
    bench = Bench(tmp_path, engine=FakeEngine(is_held=True))
    thread, errors = bench.run_in_thread()
    wait_for(lambda: bool(bench.engine.futures), "the engine was asked")
    bench.book.leases()[0].is_lost = True
    thread.join(5)
    assert not errors
    assert bench.ledger.names() == ["claim"]
    assert bench.engine.futures[0].cancelled()


def test_a_timeout_of_the_engines_own_is_an_error_and_not_a_reason_to_wait(tmp_path):
    bench = Bench(tmp_path, engine=FakeEngine(error=TimeoutError()))
    bench.run()
    assert bench.ledger.last("fail")["code"] == "internal_error"
