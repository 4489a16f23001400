from __future__ import annotations

import threading

from worker.engine.s3gen import turnstile as turnstile_module
from worker.engine.s3gen.turnstile import Turnstile

DEADLINE_S = 20.0


def test_one_launches_at_a_time_and_whoever_waits_for_the_device_lets_the_other_through(monkeypatch):
    turnstile = Turnstile()
    has_launched, device_is_done = threading.Event(), threading.Event()
    order: list[str] = []

    def wait_for_device() -> None:
        order.append("first waits")
        assert has_launched.wait(DEADLINE_S)  # the other one launches meanwhile
        device_is_done.set()

    monkeypatch.setattr(turnstile_module, "wait_for_stream", wait_for_device)

    def launch() -> None:
        with turnstile:
            order.append("second launches")
            has_launched.set()
            assert device_is_done.wait(DEADLINE_S)
            order.append("second is through")

    second = threading.Thread(target=launch)
    with turnstile:
        second.start()
        assert not has_launched.wait(0.05)  # it is not its turn yet
        order.append("first launches")
        turnstile.wait()
        order.append("first goes on")
    second.join(DEADLINE_S)
    assert order == ["first launches", "first waits", "second launches", "second is through", "first goes on"]


def test_the_turn_comes_back_when_the_device_fails(monkeypatch):
    def fail() -> None:
        raise RuntimeError("CUDA error")

    monkeypatch.setattr(turnstile_module, "wait_for_stream", fail)
    turnstile = Turnstile()
    for _ in range(2):
        try:
            with turnstile:
                turnstile.wait()
        except RuntimeError:
            pass
    with turnstile:
        pass
