"""What a segment costs the worker process: `python -m bench.feeding [--segments 600] [--slots 128] [--x 400]`.

Real Redis, real S3, a real worker, and an engine that computes nothing (`bench.pacedengine`): it takes as many segments
at once as a GPU would, and ends each when a GPU would. What is left is what the worker spends beside its engine. The
servers share this machine's cores, so segments per second are not the figure; CPU milliseconds per segment are.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.cpuseconds import cpu_seconds
from bench.farm import farm
from bench.madeupbook import CHARACTERS_PER_S, book
from bench.pacedengine import RATE_HZ, Pace
from bench.pacedworker import pace_to_environment
from bench.record import write_result
from bench.stopwatch import VARIABLE, read_lines, site_environment, table
from producer import Client, Narration
from producer.connection import connect_redis
from producer.contract.settings import Settings
from producer.workers import live_workers

#: Shares of the segments between which is measured: before, the plan is made; behind, the last ones run out.
FROM_SHARE: Final = 0.1
TO_SHARE: Final = 0.9

#: Seconds of speech that takes are cut out of.
_POOL_S: Final = 90.0

#: Characters of a segment of such a book, on the average.
CHARACTERS_PER_SEGMENT: Final = 190

_LOOK_S: Final = 0.2
_PATIENCE_S: Final = 1_800.0


@dataclass(frozen=True, slots=True)
class Look:
    """How far the work was at one moment."""

    at_s: float
    num_done: int
    #: CPU seconds of the worker process.
    cpu_s: float


def make_sound(path: Path) -> None:
    """Write speech of the draft voice for takes to be cut out of."""
    from hibari import SAMPLE_RATE, Hibari

    voice = Hibari(threads=1)
    text = book(1, num_characters=round(_POOL_S * CHARACTERS_PER_S))
    said = np.concatenate([voice(line, seed=number) for number, line in enumerate(text.split("\n\n"))])
    places = np.arange(0, len(said), SAMPLE_RATE / RATE_HZ)
    np.save(path, np.interp(places, np.arange(len(said)), said).astype(np.float32))


def worker_pid() -> int:
    """Return the process id of the one worker, which its name ends with."""
    settings = Settings.load()
    with connect_redis(settings) as redis:
        (worker,) = live_workers(redis, settings)
    return int(worker.name.rpartition(":")[2])


def watch(client: Client, narration_id: str, pid: int) -> list[Look]:
    """Look at the work until its last segment is done."""
    looks: list[Look] = []
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        (status,) = client.statuses([narration_id])
        looks.append(Look(time.time(), status.num_done, cpu_seconds(Path(f"/proc/{pid}"))))
        if status.num_segments and status.num_done >= status.num_segments:
            return looks
        if status.state.is_terminal or time.monotonic() > deadline_s:
            raise RuntimeError(f"the narration is {status.state} with {status.num_done} segments")
        time.sleep(_LOOK_S)


def span(looks: list[Look]) -> tuple[Look, Look]:
    """Return the looks between which is measured."""
    total = looks[-1].num_done
    first = next(look for look in looks if look.num_done >= FROM_SHARE * total)
    last = next(look for look in looks if look.num_done >= TO_SHARE * total)
    return first, last


def at(notes: list[dict[str, float]], second: float, field: str) -> float:
    """Return a field of the engine's notes at a moment."""
    return float(np.interp(second, [note["at_s"] for note in notes], [note[field] for note in notes]))


def summary(looks: list[Look], notes: list[dict[str, float]], options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of a run."""
    first, last = span(looks)
    wall_s, num = last.at_s - first.at_s, last.num_done - first.num_done
    within = {name: at(notes, last.at_s, name) - at(notes, first.at_s, name) for name in notes[0]}
    begin_s = next(note["at_s"] for note in notes if note["speaking"])
    ramp = {
        f"{after:g}": round(at(notes, begin_s + after, "speaking")) for after in (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
    }
    cpu_s = last.cpu_s - first.cpu_s
    return {
        "command": "python -m bench.feeding",
        "num_segments": looks[-1].num_done,
        "num_slots": options.slots,
        "x_real_time_of_engine": options.x,
        "segments_per_s": round(num / wall_s, 2),
        "mean_slots_used": round(within["slot_s"] / wall_s, 1),
        "mean_queued_in_engine": round(within["queue_s"] / wall_s, 1),
        "slots_used_after_s": ramp,
        "worker_cpu_ms_per_segment": round(1000 * (cpu_s - within["own_cpu_s"]) / num, 2),
        "worker_cpu_share_of_a_core": round(cpu_s / wall_s, 2),
        "test_engine_cpu_ms_per_segment": round(1000 * within["own_cpu_s"] / num, 2),
    }


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Speak a book and return the figures."""
    sound, notes, parts = folder / "sound.npy", folder / "notes.jsonl", folder / "parts"
    make_sound(sound)
    pace = Pace(options.slots, options.x, sound, notes)
    environment = {
        "CHATTERQUEUE_ENGINE": "draft",
        "CHATTERQUEUE_CACHE_DIR": str(folder / "cache"),
        **site_environment(),
        **pace_to_environment(pace),
        **({VARIABLE: str(parts)} if options.parts else {}),
    }
    text = book(options.seed, num_characters=options.segments * CHARACTERS_PER_SEGMENT)
    with farm(1, environment) as client:
        pid = worker_pid()
        profiler = _profiler(options, pid)
        narration_id = client.submit(Narration(text=text, engine="draft", format="flac")).id
        looks = watch(client, narration_id, pid)
        if profiler is not None:
            profiler.wait()
        (status,) = client.statuses([narration_id])
        found = summary(looks, _lines(notes), options)
        found["num_flagged"] = status.num_flagged
        if options.parts:
            first, last = span(looks)
            found["parts"] = table(read_lines(parts), first.at_s, last.at_s)
    return found


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _profiler(options: argparse.Namespace, pid: int) -> subprocess.Popen[bytes] | None:
    if options.profile is None:
        return None
    command = [options.profile, "record", "--nonblocking", "--threads", "--rate", "50", "--format", "raw"]
    command += ["--pid", str(pid), "--duration", str(options.profile_s), "--output", options.profile_out]
    if options.gil:
        command.append("--gil")
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description="What a segment costs the worker process.")
    parser.add_argument("--segments", type=int, default=600, help="about so many")
    parser.add_argument("--slots", type=int, default=128)
    parser.add_argument("--x", type=float, default=400.0, help="seconds of speech per second that all slots make")
    parser.add_argument("--seed", type=int, default=7, help="of the book")
    parser.add_argument(
        "--parts", action="store_true", help="measure parts of the worker: CPU time, and threads within each"
    )
    parser.add_argument("--profile", metavar="PY_SPY", help="path of py-spy; it samples the worker")
    parser.add_argument("--profile-out", default="feeding.raw")
    parser.add_argument("--profile-s", type=int, default=20)
    parser.add_argument("--gil", action="store_true", help="sample only threads that hold the GIL")
    parser.add_argument("--name", help="of the result file; without it nothing is recorded")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    print(json.dumps(found, indent=2))
    if options.name:
        sys.stdout.write(f"{write_result(options.name, found)}\n")


if __name__ == "__main__":
    main()
