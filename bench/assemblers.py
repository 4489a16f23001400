"""Assemblies side by side, on threads of one process and in processes: `python -m bench.assemblers`.

Takes of noise from memory into nothing, as FLAC, with everything that an assembly does; real time is that of all of
them together. What one thread assembles in one process is the peer. Threads are measured with turns as Python has them
and with the short ones that they take beside an engine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from bench.madeuptakes import TakesInMemory, noise_takes, plan_of
from bench.record import ROOT, write_result
from producer.contract.narration import AudioFormat
from worker.audio import assemble
from worker.pool import SWITCH_INTERVAL_S

NUM_THREADS: Final = (1, 2, 4)
NUM_PROCESSES: Final = (1, 2, 4)


def main() -> None:
    """Measure, print and record."""
    options = _options()
    assembly = Assembly(options.hours, AudioFormat(options.format))
    if options.is_child:
        _assemble_when_told(assembly)
        return
    result = {
        "command": "python -m bench.assemblers " + " ".join(sys.argv[1:]),
        "settings": {"format": options.format, "hours_of_each": options.hours, "takes": "noise"},
        "threads_of_one_process": {
            str(turns_s): {str(number): on_threads(assembly, number, turns_s) for number in NUM_THREADS}
            for turns_s in (sys.getswitchinterval(), SWITCH_INTERVAL_S)
        },
        "processes": {str(number): in_processes(assembly, number, options) for number in NUM_PROCESSES},
    }
    path = write_result("assemblers", result)
    print(json.dumps(result, indent=1), path, sep="\n")


class Assembly:
    """One narration that can be assembled as often as one likes."""

    def __init__(self, hours: float, audio_format: AudioFormat) -> None:
        objects, takes = noise_takes()
        self._plan, self._takes = plan_of(takes, hours)
        self._store: Any = TakesInMemory(objects)
        self._format = audio_format
        self.audio_s = sum(take.num_samples / take.sample_rate_hz for take in self._takes.values())

    def run(self) -> None:
        """Assemble it."""
        assemble(self._plan, self._takes, {}, {}, self._store, audio_format=self._format)


def on_threads(assembly: Assembly, number: int, turns_s: float) -> dict[str, float]:
    """Assemble a narration on each of some threads of this process, which take turns of so many seconds."""
    sys.setswitchinterval(turns_s)
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(number) as pool:
        for done in [pool.submit(assembly.run) for _ in range(number)]:
            done.result()
    wall_s = time.perf_counter() - begun_s
    return {**_speed(assembly, number, wall_s), "cores_used": round((time.process_time() - begun_cpu_s) / wall_s, 2)}


def in_processes(assembly: Assembly, number: int, options: argparse.Namespace) -> dict[str, float]:
    """Assemble a narration in each of some processes, all told to begin when all of them are ready."""
    command = [sys.executable, "-m", "bench.assemblers", "--child", "--format", options.format]
    command += ["--hours", str(options.hours)]
    children = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(number)
    ]
    for child in children:
        _line(child)
    begun_s = time.perf_counter()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("begin\n")
        child.stdin.flush()
    for child in children:
        _line(child)
    wall_s = time.perf_counter() - begun_s
    for child in children:
        child.communicate()
    return _speed(assembly, number, wall_s)


def _assemble_when_told(assembly: Assembly) -> None:
    print("ready", flush=True)
    sys.stdin.readline()
    assembly.run()
    print("done", flush=True)


def _line(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    if not child.stdout.readline():
        raise RuntimeError(f"an assembly ended with status {child.wait()}")


def _speed(assembly: Assembly, number: int, wall_s: float) -> dict[str, float]:
    return {"wall_s": round(wall_s, 2), "x_real_time": round(number * assembly.audio_s / wall_s, 1)}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Assemblies side by side.")
    parser.add_argument("--hours", type=float, default=0.5, help="of each narration")
    parser.add_argument("--format", default="flac", choices=[each.value for each in AudioFormat])
    parser.add_argument("--child", dest="is_child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
