from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from celery import Celery
from celery.exceptions import Reject

from producer.contract.errors import QueueUnavailableError, StorageUnavailableError
from producer.contract.routing import ASSEMBLE_TASK, PLAN_TASK, SYNTHESIZE_TASK
from worker import runtime
from worker.errors import DrainingError
from worker.narration.lease import LeaseBook
from worker.runtime import Runtime
from worker.tasks import register

ID = "a" * 26


class Work:
    """A use case that notes its calls and raises what it was told to."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.calls: list[tuple] = []

    def run(self, *arguments) -> None:
        self.calls.append(arguments)
        if self.error is not None:
            raise self.error


@pytest.fixture
def app() -> Celery:
    app = Celery("test", set_as_current=False)
    register(app)
    return app


def installed(monkeypatch, work: Work) -> None:
    monkeypatch.setattr(runtime, "_current", Runtime(planner=work, synthesizer=work, assembler=work, book=LeaseBook()))


def call(app: Celery, task: str, **fields):
    return app.tasks[task].run(**fields)


def test_each_task_calls_its_use_case(app, monkeypatch):
    work = Work()
    installed(monkeypatch, work)
    call(app, PLAN_TASK, narration_id=ID)
    call(app, SYNTHESIZE_TASK, narration_id=ID, item="17")
    call(app, ASSEMBLE_TASK, narration_id=ID)
    assert work.calls == [(ID,), (ID, 17), (ID,)]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"narration_id": 7, "item": "0"},
        {"narration_id": "../x", "item": "0"},
        {"narration_id": ID},
        {"narration_id": ID, "item": 3},
        {"narration_id": ID, "item": "-1"},
        {"narration_id": ID, "item": "1e9"},
        {"narration_id": ID, "item": "9" * 40},
        {"narration_id": ID, "item": "²"},
        {"narration_id": ID, "item": "plan"},
    ],
)
def test_a_malformed_message_is_dropped(app, monkeypatch, caplog, fields):
    work = Work()
    installed(monkeypatch, work)
    with caplog.at_level(logging.WARNING):
        assert call(app, SYNTHESIZE_TASK, **fields) is None
    assert work.calls == []
    assert caplog.messages == ["message_dropped"]


def test_the_message_goes_back_when_the_process_drains(app, monkeypatch):
    installed(monkeypatch, Work(DrainingError()))
    with pytest.raises(Reject) as caught:
        call(app, PLAN_TASK, narration_id=ID)
    assert caught.value.requeue


@pytest.mark.parametrize("error", [QueueUnavailableError("redis", "away"), StorageUnavailableError("s3", "away")])
def test_the_message_is_dropped_when_a_service_is_away_because_the_item_still_waits(app, monkeypatch, caplog, error):
    installed(monkeypatch, Work(error))
    assert call(app, PLAN_TASK, narration_id=ID) is None
    assert caplog.messages == ["item_put_off"]


@pytest.mark.parametrize("error", [MemoryError(), SystemExit(1), RuntimeError("a secret sentence")])
def test_nothing_comes_out_of_a_task_whatever_happens_in_it(app, monkeypatch, caplog, error):
    installed(monkeypatch, Work(error))
    assert call(app, PLAN_TASK, narration_id=ID) is None
    assert caplog.messages == ["task_failed"]
    assert "secret" not in str(vars(caplog.records[0]))


def test_the_delivery_is_listed_while_the_task_runs(app, monkeypatch):
    book = LeaseBook()
    seen = []
    work = SimpleNamespace(run=lambda narration_id: seen.append(book.tags()))
    monkeypatch.setattr(runtime, "_current", Runtime(planner=work, synthesizer=work, assembler=work, book=book))
    task = app.tasks[PLAN_TASK]
    task.push_request(properties={"delivery_tag": "tag-1"})
    try:
        task.run(narration_id=ID)
    finally:
        task.pop_request()
    assert seen == [["tag-1"]]
    assert book.tags() == []
