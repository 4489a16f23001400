"""A take that is spoken and that S3 refuses to store: it is kept, and what it cost is not spent twice."""

from __future__ import annotations

import pytest
from workerfakes import (
    NARRATION_ID,
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

from producer.storage import StorageRefusedError
from producer.storage.refusals import Refusals
from worker.narration import lookout, synthesis
from worker.narration.attempt import Attempts
from worker.narration.drain import Drain
from worker.narration.lease import LeaseBook
from worker.narration.recipe import RecipeShelf
from worker.narration.synthesis import Synthesizer
from worker.quality import Gate
from worker.voices import VoiceShelf


class RefusingStore(FakeStore):
    """Answers 403 to its first `num_refusals` writes."""

    def __init__(self, objects: dict[str, bytes], num_refusals: int) -> None:
        super().__init__()
        self.objects = objects
        self.num_refusals = num_refusals

    def put(self, key: str, data: bytes, content_type: str) -> None:
        if self.num_refusals:
            self.num_puts += 1
            self.num_refusals -= 1
            raise StorageRefusedError("s3", "the credentials do not give the right to do this (AccessDenied)")
        super().put(key, data, content_type)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(synthesis, "LOOK_S", 0.01)
    monkeypatch.setattr(lookout, "LOOK_S", 0.01)
    monkeypatch.setattr("producer.storage.retry.FIRST_WAIT_S", 0.001)
    monkeypatch.setattr("producer.storage.retry._REFUSALS", Refusals())


def speak(tmp_path, num_refusals: int) -> tuple[FakeEngine, FakeLedger, RefusingStore]:
    engine, ledger = FakeEngine(), FakeLedger(answer=dispatch("5"))
    store = RefusingStore(store_with(request_of(), plan_of("One.")).objects, num_refusals)
    attempts = Attempts(
        ledger=ledger,
        messenger=FakeMessenger(),
        book=LeaseBook(),
        drain=Drain(0.0),
        worker="host:1",
        end_process=lambda reason: None,
    )
    synthesizer = Synthesizer(
        attempts=attempts,
        ledger=ledger,
        store=store,
        engines=FakeEngines(engine),
        voices=VoiceShelf(store, tmp_path / "voices"),
        recipes=RecipeShelf(store),
        codec=FakeCodec(),
        gate=Gate(max_retakes=0),
        worker="host:1",
    )
    synthesizer.run(NARRATION_ID, 0)
    return engine, ledger, store


def test_the_take_is_stored_when_the_bucket_accepts_it_again(tmp_path, caplog):
    engine, ledger, store = speak(tmp_path, num_refusals=4)
    assert len(engine.requests) == 1
    assert store.num_puts == 5
    assert ledger.names() == ["claim", "complete"]
    assert [record.getMessage() for record in caplog.records].count("storage_refused") == 1


def test_the_item_is_given_back_uncounted_when_the_refusal_outlasts_the_patience(tmp_path, monkeypatch):
    monkeypatch.setattr(synthesis, "UPLOAD_PATIENCE_S", 0.02)
    engine, ledger, _ = speak(tmp_path, num_refusals=10_000)
    assert len(engine.requests) == 1
    # A release gives the attempt back; a failure would have counted it.
    assert ledger.names() == ["claim", "release"]
    assert "AccessDenied" in ledger.last("release")["reason"]
