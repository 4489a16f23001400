"""Threads that work together or alone; every wait here is for an event, none for time."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from processes import wait_for

from worker.errors import DrainingError
from worker.narration.isolation import Isolation

LONG_S = 20.0


def ignore() -> None: ...


class Visitor:
    """A thread that goes in and stays until it is let go."""

    def __init__(self, enter) -> None:
        self._enter = enter
        self.is_inside = threading.Event()
        self.leave = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._enter(ignore):
            self.is_inside.set()
            self.leave.wait(LONG_S)

    def end(self) -> None:
        self.leave.set()
        self._thread.join(LONG_S)
        assert not self._thread.is_alive()


def test_many_are_inside_together():
    isolation = Isolation()
    visitors = [Visitor(isolation.together) for _ in range(3)]
    assert all(visitor.is_inside.wait(LONG_S) for visitor in visitors)
    for visitor in visitors:
        visitor.end()


def test_the_one_that_wants_to_be_alone_waits_for_the_others_and_keeps_new_ones_out():
    isolation = Isolation()
    early = Visitor(isolation.together)
    assert early.is_inside.wait(LONG_S)
    lonely = [Visitor(isolation.alone) for _ in range(2)]
    wait_for(lambda: isolation._num_awaiting == 2, "both want to be alone")
    late = Visitor(isolation.together)
    assert not any(visitor.is_inside.is_set() for visitor in (*lonely, late))
    early.end()
    first = next(visitor for visitor in _cycle(lonely) if visitor.is_inside.is_set())
    (second,) = set(lonely) - {first}
    assert not second.is_inside.is_set()
    assert not late.is_inside.is_set()
    first.end()
    assert second.is_inside.wait(LONG_S)
    assert not late.is_inside.is_set()
    second.end()
    assert late.is_inside.wait(LONG_S)
    late.end()


def _cycle(visitors):
    while True:
        for visitor in visitors:
            visitor.is_inside.wait(0.05)
            yield visitor


def test_nobody_is_kept_out_while_it_waits_for_something_long():
    isolation = Isolation()
    long = Visitor(partial(isolation.together, is_long=True))
    assert long.is_inside.wait(LONG_S)
    is_looking = threading.Event()
    lonely = Visitor(lambda _: isolation.alone(is_looking.set))
    assert is_looking.wait(LONG_S)
    late = Visitor(isolation.together)
    assert late.is_inside.wait(LONG_S)
    long.end()
    wait_for(lambda: isolation._num_awaiting == 1, "it keeps others out now")
    assert not lonely.is_inside.is_set()
    late.end()
    assert lonely.is_inside.wait(LONG_S)
    lonely.end()


@pytest.mark.parametrize("how", ["together", "alone"])
def test_a_wait_ends_when_the_process_goes_down_and_others_go_on(how):
    isolation = Isolation()

    def refuse() -> None:
        raise DrainingError

    holder = Visitor(isolation.alone)
    assert holder.is_inside.wait(LONG_S)
    with pytest.raises(DrainingError), getattr(isolation, how)(refuse):
        pytest.fail("it was let in")
    holder.end()
    with isolation.together(ignore):
        pass
