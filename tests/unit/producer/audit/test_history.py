"""The log of a narration's items against what is done."""

from __future__ import annotations

import pytest

from producer.audit.history import check_history
from producer.audit.report import Invariant, Report


def events(*names_and_items: tuple[str, int], **fields: int) -> list[dict]:
    return [{"event": event, "item": str(item), **fields} for event, item in names_and_items]


def found(log: list[dict], done: set[int], num_segments: int = 2, num_rejected: int | None = 0) -> list:
    report = Report()
    check_history("a" * 26, log, done, num_segments, num_rejected, 2, report)
    return [(violation.invariant, violation.item) for violation in report.violations]


SPOKEN = events(("claimed", 0), ("completed", 0))


@pytest.mark.parametrize(
    ("log", "done"),
    [
        (SPOKEN, {0}),
        (SPOKEN + events(("reopened", 0)), set()),
        (SPOKEN + events(("reopened", 0), ("completed", 0)), {0}),
        (events(("restored", 0), ("completed", 1)), {0, 1}),
        (events(("claimed", 0), ("expired", 0), ("claimed", 0), ("failed", 0)), set()),
        ([], {0, 1}),  # a log that has gone says nothing
    ],
)
def test_a_log_that_fits_is_no_violation(log, done):
    assert found(log, done) == []


@pytest.mark.parametrize(
    ("log", "done"),
    [(SPOKEN + SPOKEN, {0}), (SPOKEN, set()), (events(("claimed", 0)), {0}), (SPOKEN + events(("reopened", 0)), {0})],
)
def test_a_take_too_many_or_too_few_is_named(log, done):
    assert found(log, done) == [(Invariant.ONE_TAKE_EACH, "0")]


def test_refusals_that_were_not_counted_are_named():
    log = [*SPOKEN, *events(("rejected", 0), ("rejected", 0))]
    assert found(log, {0}, num_rejected=1) == [(Invariant.ONE_TAKE_EACH, None)]
    assert found(log, {0}, num_rejected=2) == found(log, {0}, num_rejected=None) == []


def test_an_item_that_ended_too_many_processes_is_named():
    log = [*SPOKEN, *events(("expired", 1), num_ends=2)]
    assert found(log, {0}) == []
    assert found([*log, *events(("expired", 1), num_ends=3)], {0}) == [(Invariant.ATTEMPTS_ARE_BOUNDED, "1")]


def test_a_log_that_is_full_proves_nothing():
    assert found(SPOKEN * 520, {0}) == []
    assert found(SPOKEN * 510, {0}) != []
