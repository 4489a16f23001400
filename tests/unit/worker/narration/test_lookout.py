import threading
from concurrent.futures import CancelledError, Future

import pytest
from processes import wait_for

from worker.engine.batching.takefuture import TakeFuture
from worker.errors import DrainingError, LeaseLostError
from worker.narration import lookout as lookout_module
from worker.narration.drain import Drain
from worker.narration.lease import Lease
from worker.narration.lookout import Lookout


@pytest.fixture(autouse=True)
def _look_often(monkeypatch):
    monkeypatch.setattr(lookout_module, "LOOK_S", 0.01)


def lease_under(drain: Drain | None = None) -> Lease:
    return Lease("narration", "0", "token", 1, drain or Drain(600.0))


class Waiting:
    """A thread that waits, and what it ended with."""

    def __init__(self, lookout: Lookout, future: Future, lease: Lease) -> None:
        self.outcome: object = None
        self._thread = threading.Thread(target=self._run, args=(lookout, future, lease))
        self._thread.start()

    def _run(self, lookout: Lookout, future: Future, lease: Lease) -> None:
        try:
            self.outcome = lookout.wait(future, lease)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.outcome = error

    def ended_with(self) -> object:
        self._thread.join(5)
        assert not self._thread.is_alive()
        return self.outcome


def lookouts() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "lookout"]


def test_a_future_that_has_ended_is_not_waited_for():
    future: Future = Future()
    future.set_result("take")
    assert Lookout().wait(future, lease_under()) == "take"


def test_each_wait_gets_its_own_outcome_when_many_wait_and_one_thread_looks_after_all():
    lookout, futures = Lookout(), [Future() for _ in range(20)]
    waits = [Waiting(lookout, future, lease_under()) for future in futures]
    wait_for(lambda: len(lookouts()) == 1, "somebody looks")
    for number, future in enumerate(futures):
        future.set_result(number)
    assert [wait.ended_with() for wait in waits] == list(range(20))


def test_only_the_wait_whose_lease_was_lost_ends_and_its_slot_is_given_up():
    lookout, kept, lost = Lookout(), TakeFuture(), TakeFuture()
    leases = [lease_under(), lease_under()]
    waits = [Waiting(lookout, future, lease) for future, lease in zip((kept, lost), leases, strict=True)]
    assert kept.begin()
    assert lost.begin()
    leases[1].is_lost = True
    assert isinstance(waits[1].ended_with(), LeaseLostError)
    assert not lost.is_wanted
    assert kept.is_wanted
    kept.set_result("take")
    assert waits[0].ended_with() == "take"


def test_what_was_begun_goes_on_in_a_drain_and_what_was_not_is_given_back_at_once():
    drain, lookout = Drain(600.0), Lookout()
    begun, waiting = Future(), Future()
    waits = [Waiting(lookout, future, lease_under(drain)) for future in (begun, waiting)]
    begun.set_running_or_notify_cancel()
    drain.begin()
    assert isinstance(waits[1].ended_with(), DrainingError)
    begun.set_result("take")
    assert waits[0].ended_with() == "take"


def test_an_engine_that_never_answers_keeps_no_thread_when_the_time_to_drain_is_over():
    drain, future = Drain(0.0), Future()
    wait = Waiting(Lookout(), future, lease_under(drain))
    future.set_running_or_notify_cancel()
    drain.begin()
    assert isinstance(wait.ended_with(), DrainingError)
    assert not future.done()


def test_an_error_of_the_engine_comes_through_and_a_cancelled_take_is_a_drain():
    failed, closed = Future(), Future()
    failed.set_exception(TimeoutError())
    closed.set_running_or_notify_cancel()
    closed.set_exception(CancelledError())
    with pytest.raises(TimeoutError):
        Lookout().wait(failed, lease_under())
    with pytest.raises(DrainingError):
        Lookout().wait(closed, lease_under())


def test_the_one_who_looks_goes_when_nobody_waits_and_comes_back():
    lookout = Lookout()
    for take in ("one", "two"):
        wait = Waiting(lookout, future := Future(), lease_under())
        wait_for(lambda: bool(lookouts()), "somebody looks")
        future.set_result(take)
        assert wait.ended_with() == take
        wait_for(lambda: not lookouts(), "nobody looks any more")


def test_a_future_that_cannot_be_given_up_keeps_nobody_else_waiting():
    class Stubborn(TakeFuture):
        def cancel(self) -> bool:
            raise RuntimeError("not now")

    lookout, drain = Lookout(), Drain(600.0)
    stubborn, other = Stubborn(), TakeFuture()
    waits = [Waiting(lookout, future, lease_under(drain)) for future in (stubborn, other)]
    drain.begin()
    assert isinstance(waits[1].ended_with(), DrainingError)
    stubborn.set_exception(DrainingError())
    assert isinstance(waits[0].ended_with(), DrainingError)
