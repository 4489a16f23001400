"""Waiting: how often it asks, what it reports, and how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from producer.contract.errors import NarrationNotFoundError, WaitTimeoutError
from producer.contract.status import NarrationStatus, State
from producer.waiting import FIRST_PAUSE_S, LONGEST_PAUSE_S, wait_for


def status(narration_id: str, state: State, **fields: object) -> NarrationStatus:
    return NarrationStatus.model_validate(
        {
            "id": narration_id, "state": state, "engine": "tone", "voice": "default", "language": "en",
            "format": "mp3", "priority": "normal", "num_chars": 4, "created_at": datetime.now(UTC), **fields,
        }
    )  # fmt: skip


class Ledger:
    """Answers with one state after the other, the last one for ever, on a clock that only sleeping moves."""

    def __init__(self, **states: list[State | None]) -> None:
        self.states = states
        self.asked: list[list[str]] = []
        self.now_s = 0.0
        self.pauses_s: list[float] = []

    def read(self, narration_ids: Sequence[str]) -> list[NarrationStatus | None]:
        self.asked.append(list(narration_ids))
        return [self._next(each) for each in narration_ids]

    def _next(self, narration_id: str) -> NarrationStatus | None:
        states = self.states[narration_id]
        state = states.pop(0) if len(states) > 1 else states[0]
        created_at = datetime(2026, 1, 1, tzinfo=UTC)
        return None if state is None else status(narration_id, state, created_at=created_at)

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.pauses_s.append(seconds)
        self.now_s += seconds

    def wait(self, *narration_ids: str, **options: object) -> list[NarrationStatus]:
        return wait_for(narration_ids, self.read, clock=self.clock, sleep=self.sleep, **options)  # type: ignore[arg-type]


def test_it_ends_with_the_last_narration_and_keeps_the_order():
    ledger = Ledger(a=[State.QUEUED, State.SUCCEEDED], b=[State.FAILED])
    assert [each.state for each in ledger.wait("a", "b")] == [State.SUCCEEDED, State.FAILED]
    assert ledger.asked == [["a", "b"], ["a"]]


def test_it_asks_less_and_less_often_while_nothing_changes_and_soon_after_a_change():
    ledger = Ledger(a=[*[State.QUEUED] * 20, State.RUNNING, State.SUCCEEDED])
    ledger.wait("a")
    assert ledger.pauses_s[0] == FIRST_PAUSE_S
    assert ledger.pauses_s[:20] == sorted(ledger.pauses_s[:20])
    assert ledger.pauses_s[19] == LONGEST_PAUSE_S
    assert ledger.pauses_s[20] == FIRST_PAUSE_S


def test_progress_is_reported_after_every_question():
    seen: list[list[State]] = []
    ledger = Ledger(a=[State.QUEUED, State.RUNNING, State.SUCCEEDED], b=[State.SUCCEEDED])
    ledger.wait("a", "b", on_progress=lambda statuses: seen.append([each.state for each in statuses]))
    assert seen == [
        [State.QUEUED, State.SUCCEEDED],
        [State.RUNNING, State.SUCCEEDED],
        [State.SUCCEEDED, State.SUCCEEDED],
    ]


def test_what_the_report_raises_ends_the_wait():
    def stop(statuses: Sequence[NarrationStatus]) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        Ledger(a=[State.QUEUED]).wait("a", on_progress=stop)


@pytest.mark.parametrize("timeout_s", [0.0, 5.0])
def test_it_gives_up_when_the_time_is_over(timeout_s: float):
    ledger = Ledger(a=[State.SUCCEEDED], b=[State.RUNNING])
    with pytest.raises(WaitTimeoutError) as caught:
        ledger.wait("a", "b", timeout_s=timeout_s)
    assert caught.value.args == ("b", "running", timeout_s)
    assert ledger.now_s == pytest.approx(timeout_s)


@pytest.mark.parametrize("states", [[None], [State.QUEUED, None]])
def test_a_narration_that_is_not_there_is_an_error(states: list[State | None]):
    with pytest.raises(NarrationNotFoundError):
        Ledger(a=states).wait("a")
