"""A bucket that refuses is said once, however many wait for it, and its mending too."""

from __future__ import annotations

import logging

import pytest

from producer.contract.errors import StorageUnavailableError
from producer.storage import StorageRefusedError, retrying
from producer.storage.refusals import SAY_AGAIN_S, Refusals

REFUSED = StorageRefusedError("http://s3:8333/books", "the bucket is not there (NoSuchBucket)")


class Clock:
    """Seconds that pass only by sleeping."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _fresh_refusals(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr("producer.storage.retry._REFUSALS", Refusals(clock))


def refused_until(number: int):
    """Return a PUT that is refused so many times."""
    answers: list[StorageRefusedError | str] = [REFUSED] * number + ["stored"]

    def put() -> str:
        answer = answers.pop(0)
        if isinstance(answer, StorageRefusedError):
            raise answer
        return answer

    return put


def names(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_what_is_dear_is_tried_again_though_it_is_refused(clock, caplog):
    caplog.set_level(logging.INFO)
    assert retrying(refused_until(6), is_refusal_final=False, sleep=clock.sleep, clock=clock) == "stored"
    assert names(caplog) == ["storage_refused", "storage_accepts_again"]
    said = caplog.records[0]
    assert (said.levelname, said.address) == ("ERROR", "http://s3:8333/books")
    assert "bucket is not there" in said.reason
    assert "CHATTERQUEUE_S3_BUCKET" in said.remedy


def test_a_refusal_that_lasts_ends_it_at_the_deadline(clock, caplog):
    with pytest.raises(StorageRefusedError):
        retrying(refused_until(100), deadline_s=120, is_refusal_final=False, sleep=clock.sleep, clock=clock)
    assert 100 < clock.now_s <= 120
    assert names(caplog) == ["storage_refused"]


def test_a_refusal_that_lasts_is_said_again_some_time_later_and_another_one_at_once(clock, caplog):
    refusals = Refusals(clock)
    for _ in range(256):
        refusals.note(REFUSED)
    assert len(caplog.records) == 1
    refusals.note(StorageRefusedError(REFUSED.args[0], "the secret key is wrong"))
    assert len(caplog.records) == 2
    clock.sleep(SAY_AGAIN_S)
    refusals.note(REFUSED)
    assert len(caplog.records) == 3


def test_nothing_is_said_of_a_server_that_was_only_away(clock, caplog):
    calls = [StorageUnavailableError("s3", "down")]

    def call() -> str:
        if calls:
            raise calls.pop()
        return "stored"

    caplog.set_level(logging.INFO)
    assert retrying(call, is_refusal_final=False, sleep=clock.sleep, clock=clock) == "stored"
    assert names(caplog) == ["storage_retry"]
