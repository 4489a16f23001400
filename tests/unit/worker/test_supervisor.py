from __future__ import annotations

import os
import stat
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from producer.contract.routing import Role
from worker.gpus import visible_gpus
from worker.pulse import Pulse, pulse_path
from worker.settings import WorkerSettings
from worker.slots import Slot
from worker.supervisor import ALARMING_DEATHS, LEFT_S, LONGEST_WAIT_S, Supervisor, restart_wait_s


def test_the_wait_before_a_restart_grows_up_to_its_limit():
    assert 0.5 <= restart_wait_s(1) <= 1.0
    assert 4.0 <= restart_wait_s(4) <= 8.0
    assert restart_wait_s(10_000) <= LONGEST_WAIT_S


@pytest.mark.parametrize(
    ("chosen", "gpus"), [("2,3", ["2", "3"]), ("", []), ("-1", []), ("0,-1,1", ["0"]), ("GPU-abc", ["GPU-abc"])]
)
def test_the_environment_says_which_gpus_may_be_used(chosen, gpus):
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": chosen}) == gpus


def test_gpus_are_counted_by_the_drivers_tool(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: one'\necho '  MIG 1g'\necho 'GPU 1: two'\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert visible_gpus({}) == ["0", "1"]


def test_gpus_are_counted_by_their_devices_when_the_tool_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        Path(tmp_path / name).touch()
    assert visible_gpus({}, tmp_path) == ["0", "1"]


def test_a_machine_without_gpus_has_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus({}, tmp_path) == []


def test_a_process_that_keeps_dying_is_started_ever_later_and_said_aloud(tmp_path, monkeypatch, caplog):
    """Nothing is taken out of a queue for it: no message can bring a process down."""
    clock = [0.0]
    monkeypatch.setattr("worker.supervisor.time.monotonic", lambda: clock[0])
    settings = WorkerSettings.load(heartbeat_dir=tmp_path)
    slot = Slot("one", Role.CPU, {})
    supervisor = Supervisor([slot], settings, {})
    waits_s = []
    for _ in range(8):
        slot.process, slot.started_s = SimpleNamespace(poll=lambda: -11, pid=1), clock[0]
        assert supervisor._tend(slot) == -11
        assert slot.process is None
        waits_s.append(slot.due_s - clock[0])
        clock[0] = slot.due_s
    assert waits_s[0] <= 1
    assert all(earlier <= 2 * later for earlier, later in pairwise(waits_s))
    assert 30 <= waits_s[-1] <= LONGEST_WAIT_S
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING"] * (ALARMING_DEATHS - 1) + ["CRITICAL"] * (8 - ALARMING_DEATHS + 1)


def test_a_process_waits_for_what_the_last_one_left_but_not_for_ever(tmp_path, monkeypatch):
    clock, members, started = [0.0], {77}, []
    monkeypatch.setattr("worker.supervisor.time.monotonic", lambda: clock[0])
    slot = Slot("one", Role.CPU, {})
    supervisor = Supervisor([slot], WorkerSettings.load(heartbeat_dir=tmp_path), {})
    monkeypatch.setattr(supervisor, "_start", lambda slot: started.append(clock[0]))

    def killpg(group, number):
        assert number == 0  # it asks, and ends nobody
        if group not in members:
            raise ProcessLookupError

    monkeypatch.setattr("worker.supervisor.os.killpg", killpg)
    for is_left_for_ever in (False, True):
        slot.process = SimpleNamespace(poll=lambda: -9, pid=77)
        supervisor._tend(slot)
        clock[0] = slot.due_s
        supervisor._tend(slot)
        assert started == []
        if is_left_for_ever:
            clock[0] = slot.due_s + LEFT_S
        else:
            members.clear()
        supervisor._tend(slot)
        assert started == [clock[0]]
        started.clear()
        members.add(77)


def test_it_gives_up_after_so_many_failed_starts_if_it_is_told_to(tmp_path):
    settings = WorkerSettings.load(heartbeat_dir=tmp_path)
    slot = Slot("one", Role.CPU, {})
    patient, impatient = (Supervisor([slot], settings, {}, max_failed_starts=number) for number in (None, 2))

    def end_one(*, is_ready: bool) -> list[bool]:
        process = SimpleNamespace(poll=lambda: None, pid=7)
        slot.process, slot.was_ready = process, False
        Pulse(name="one", pid=7, role="cpu", is_ready=is_ready).write(tmp_path, "one")
        assert impatient._tend(slot) is None
        pulse_path(tmp_path, "one").unlink()  # as a process does that ends in good order
        process.poll = lambda: 1
        assert impatient._tend(slot) == 1
        return [supervisor._why_give_up(slot, 1) is not None for supervisor in (patient, impatient)]

    assert end_one(is_ready=False) == [False, False]
    assert end_one(is_ready=True) == [False, False]
    assert end_one(is_ready=False) == [False, False]
    assert end_one(is_ready=False) == [False, True]
