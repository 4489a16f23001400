from __future__ import annotations

import os
import subprocess
import sys

import pytest

from worker.health import problems
from worker.pulse import STALE_S, Pulse, clear_dead

NOW_S = 1_000_000.0


def pulse(**fields) -> Pulse:
    return Pulse(**{"name": "host:1", "pid": os.getpid(), "role": "all", "is_ready": True, "at_s": NOW_S, **fields})


def test_a_pulse_survives_its_file(tmp_path):
    pulse(engine="tone", stalled_s=3.5).write(tmp_path, "cpu")
    (path,) = tmp_path.iterdir()
    assert Pulse.from_json(path.read_bytes()) == pulse(engine="tone", stalled_s=3.5)


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b'{"name": "x", "unknown": 1}', b"\xff"])
def test_garbage_is_no_pulse(text):
    with pytest.raises(ValueError, match=r"."):
        Pulse.from_json(text)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (pulse(), None),
        (pulse(at_s=NOW_S - STALE_S - 1), "no sign of life"),
        (pulse(is_ready=False), "not ready"),
        (pulse(stalled_s=301.0), "stuck for 301 s"),
    ],
)
def test_the_health_check_says_what_is_wrong(tmp_path, found, words):
    found.write(tmp_path, "gpu0")
    sentences = problems(tmp_path, 300.0, NOW_S)
    assert (words is None) == (sentences == [])
    assert words is None or words in sentences[0]


def test_the_health_check_fails_when_one_process_of_two_does(tmp_path):
    pulse().write(tmp_path, "gpu0")
    pulse(is_ready=False).write(tmp_path, "gpu1")
    assert len(problems(tmp_path, 300.0, NOW_S)) == 1


def test_the_health_check_fails_when_there_is_no_process(tmp_path):
    assert "no worker process" in problems(tmp_path / "nothing", 300.0, NOW_S)[0]


def test_the_health_check_fails_when_a_file_is_damaged(tmp_path):
    (tmp_path / "cpu.json").write_text("{")
    assert "cpu.json" in problems(tmp_path, 300.0, NOW_S)[0]


def test_only_pulses_of_dead_processes_are_cleared(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    pulse().write(tmp_path, "alive")
    pulse(pid=ended.pid).write(tmp_path, "dead")
    (tmp_path / "damaged.json").write_text("{")
    clear_dead(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["alive.json"]
