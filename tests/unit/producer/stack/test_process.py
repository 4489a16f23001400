"""A guarded process ends when it is told to, and when its owner is killed."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from processes import descendants, is_alive, send_signal, start_script, wait_for

from producer.contract.errors import StackError
from producer.stack.process import GuardedProcess, worker_command

WAIT = "import signal, sys; print('up', flush=True); signal.pause()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"
WITH_CHILD = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {STUBBORN!r}])
{STUBBORN}
"""

OWNER = """
import sys, time
from pathlib import Path
from producer.stack.process import GuardedProcess
def start():
    global process
    command = [sys.executable, "-c", sys.argv[2]]
    process = GuardedProcess("sleeper", command, log_path=Path(sys.argv[1]), environment={}, grace_s=0.5)
if sys.argv[3] == "thread":
    import threading
    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
else:
    start()
print(process.pid, flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", process.exit_code, flush=True)
    process.stop()
    print("stopped", process.exit_code, flush=True)
"""


@pytest.fixture
def guarded(tmp_path):
    started = []

    def start(code, **options):
        process = GuardedProcess(
            "part", [sys.executable, "-c", code], log_path=tmp_path / "log", environment={}, **options
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.stop()


def wait_until_up(log_path, count=1):
    wait_for(lambda: log_path.exists() and log_path.read_text().count("up\n") == count, "the process is up")


def test_stop_ends_the_command_with_term(guarded, tmp_path):
    process = guarded(WAIT)
    wait_until_up(tmp_path / "log")
    below = descendants(process.pid)
    process.stop()

    assert process.exit_code == 128 + signal.SIGTERM
    assert not any(map(is_alive, below))


def test_stop_kills_all_of_the_group_when_term_is_ignored(guarded, tmp_path):
    process = guarded(WITH_CHILD, grace_s=0.2)
    wait_until_up(tmp_path / "log", count=2)
    below = descendants(process.pid)
    process.stop()

    assert len(below) == 2
    assert process.exit_code == 128 + signal.SIGKILL
    wait_for(lambda: not any(map(is_alive, below)), "all are gone")


def test_the_exit_status_and_the_last_lines_are_known(guarded):
    process = guarded("print('one'); print('two'); raise SystemExit(7)")

    assert process.wait(10) == 7
    assert process.log_tail(1) == "two"


def test_stop_is_harmless_when_the_command_has_ended(guarded):
    process = guarded("pass")
    process.wait(10)
    process.stop()

    assert process.exit_code == 0


def test_a_log_that_cannot_be_written_is_a_named_error(tmp_path):
    with pytest.raises(StackError, match="part failed"):
        GuardedProcess("part", ["true"], log_path=tmp_path / "missing" / "log", environment={})


@pytest.mark.parametrize("where", ["main", "thread"])
def test_the_command_ends_when_its_owner_is_killed(tmp_path, where):
    with start_script(OWNER, tmp_path / "log", WAIT, where) as owner:
        guard_pid = int(owner.stdout.readline())
        wait_until_up(tmp_path / "log")
        all_pids = [guard_pid, *descendants(guard_pid)]
        assert len(all_pids) == 2
        owner.kill()

    wait_for(lambda: not any(map(is_alive, all_pids)), "guard and command are gone")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is there on Linux only")
def test_the_command_ends_when_even_its_guard_is_killed(guarded, tmp_path):
    process = guarded(WAIT)
    wait_until_up(tmp_path / "log")
    below = descendants(process.pid)
    send_signal(process.pid, signal.SIGKILL)

    wait_for(lambda: not any(map(is_alive, below)), "the command is gone")


def test_ctrl_c_reaches_the_owner_and_not_the_command(tmp_path):
    with start_script(OWNER, tmp_path / "log", WAIT, "main") as owner:
        owner.stdout.readline()
        wait_until_up(tmp_path / "log")
        os.killpg(owner.pid, signal.SIGINT)  # what a terminal does

        assert owner.stdout.read().splitlines() == ["interrupted None", f"stopped {128 + signal.SIGTERM}"]


def test_the_worker_command_names_the_role_and_further_options():
    assert worker_command("gpu", "--gpus", "0,1") == [
        sys.executable, "-m", "worker.supervisor", "--role", "gpu", "--gpus", "0,1",
    ]  # fmt: skip
