from __future__ import annotations

from worker.narration.drain import Drain


def test_a_drain_is_over_when_its_time_has_passed_and_overdue_later():
    now_s = 100.0
    drain = Drain(10.0, clock=lambda: now_s)
    assert not drain.is_on
    assert not drain.is_over
    drain.begin()
    assert drain.is_on
    assert not drain.is_over
    now_s = 110.0
    assert drain.is_over
    assert not drain.is_overdue(5.0)
    now_s = 115.0
    assert drain.is_overdue(5.0)


def test_a_second_signal_does_not_begin_the_drain_again():
    now_s = 100.0
    drain = Drain(10.0, clock=lambda: now_s)
    drain.begin()
    now_s = 109.0
    drain.begin()
    now_s = 110.0
    assert drain.is_over
