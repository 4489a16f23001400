"""A whole book by `chatterqueue narrate`, in int8, on one GPU: `python -m bench.narrate_book [CHECKPOINT]`.

One text file, one command, as a user types it: the embedded Valkey and SeaweedFS, a real worker, the audio file at the
end. The book is made up (`bench.madeupbook`), the weights are random, of full size, and speak as long as their text is
(`tests/lengthrig.py`). Then the file is heard through. `--cpu` tries all of it with small weights and a short text.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.audiofile import check_file
from bench.bytext import checkpoint_by_text
from bench.fillwatch import FillWatch
from bench.gpuwatch import GpuWatch
from bench.madeupbook import CHARACTERS_PER_S, book
from bench.record import ROOT, write_result
from bench.steadyrate import steady_rate
from bench.workerlog import LogEvent, read_events
from producer import Client
from producer.contract.manifest import Manifest
from producer.stack import EmbeddedStack

SEED: Final = 1


def main() -> None:
    """Narrate the book, hear it, print and record; exit status 1 if the file is not what it should be."""
    options = _options()
    checkpoint_by_text(options.checkpoint, is_small=options.cpu)
    text = book(options.seed, num_characters=round(options.hours * 3600 * CHARACTERS_PER_S))
    with tempfile.TemporaryDirectory(prefix="narrate-book-") as name:
        folder = Path(name)
        (folder / "book.txt").write_text(text, "utf-8")
        measured = narrate(folder, options)
        manifest = manifest_of(folder, measured["told"]["id"])
        heard = check_file(folder / f"book.{options.format}", manifest)
        events = list(read_events(folder / "stack" / "logs" / "worker-0.log"))
        result = {
            "command": "python -m bench.narrate_book " + " ".join(sys.argv[1:]),
            "settings": {"weights": "random, small" if options.cpu else "random, full size", "seed": options.seed},
            "book": {"num_characters": len(text), **lengths(manifest)},
            "speed": speed(measured, events),
            "file": heard,
        }
    path = write_result(options.name, result)
    print(json.dumps(result, indent=1), path, sep="\n", flush=True)
    sys.exit(1 if heard["faults"] or result["speed"]["state"] != "succeeded" else 0)


def narrate(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run the command and return what it told, when it ran, and what was seen meanwhile."""
    command = [sys.executable, "-m", "producer.cli", "narrate", str(folder / "book.txt")]
    command += ["-o", str(folder / f"book.{options.format}"), "--engine", "chatterbox"]
    command += ["--local", "--data-dir", str(folder / "stack"), "--json"]
    environment = {
        **os.environ,
        "CHATTERQUEUE_MODEL_DIR": str(options.checkpoint.resolve()),
        "CHATTERQUEUE_MAX_RETAKES": "0",  # random weights babble, and would do so again
        "CHATTERQUEUE_HEARTBEAT_DIR": str(folder / "heartbeat"),
    }
    if options.cpu:
        environment["CHATTERQUEUE_DEVICE"] = "cpu"
    else:
        environment["CUDA_VISIBLE_DEVICES"] = str(options.gpu)
    watch = None if options.cpu else GpuWatch(options.gpu)
    fill = FillWatch(folder / "stack")
    begun_s = time.time()
    with watch or contextlib.nullcontext(), fill:
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = process.stdout.readline()
            told_s = time.time()  # the audio is there; worker and servers have still to end
            told += process.stdout.read()
        ended_s = time.time()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    times = {"begun_s": begun_s, "told_s": told_s, "ended_s": ended_s}
    return {"told": json.loads(told), **times, "watch": watch, "fill": fill}


def manifest_of(folder: Path, narration_id: str) -> Manifest:
    """Return the book's manifest, from the stack that it was narrated with."""
    with EmbeddedStack(folder / "stack") as stack:
        os.environ.update(stack.environment())
        with Client() as client:
            return client.manifest(narration_id)


def lengths(manifest: Manifest) -> dict[str, Any]:
    """Return how long the book and its segments are."""
    seconds = [segment.duration_s for segment in manifest.segments]
    return {
        "num_segments": len(seconds),
        "speech_s": round(sum(seconds), 1),
        "mean_segment_s": round(statistics.mean(seconds), 2),
        "longest_segment_s": round(max(seconds), 2),
    }


def speed(measured: dict[str, Any], events: list[LogEvent]) -> dict[str, Any]:
    """Return how long it took, where the time went, and how busy the GPU was."""
    told = measured["told"]
    ready_s = min(event.at_s for event in events if event.name == "worker_ready" and event.fields["engine"])
    finished_s = max(event.at_s for event in events if event.name == "narration_finished")
    stopped_s = max(event.at_s for event in events if event.name == "worker_stopped")
    takes = [event for event in events if event.name == "take_finished"]
    last_take_s = max(event.at_s for event in takes)
    speech_s = sum(event.fields["audio_s"] for event in takes)
    wall_s = measured["ended_s"] - measured["begun_s"]
    speaking_s = last_take_s - ready_s
    watch = measured["watch"]
    return {
        "state": told["state"],
        "engine_identity": told["engine_identity"],
        "num_attempts": told["num_attempts"],
        "wall_s": round(wall_s, 1),
        "until_ready_s": round(ready_s - measured["begun_s"], 1),
        "speaking_s": round(speaking_s, 1),
        "assembling_s": round(finished_s - last_take_s, 1),
        "fetching_s": round(measured["told_s"] - finished_s, 1),
        "ending_workers_s": round(stopped_s - measured["told_s"], 1),
        "ending_servers_s": round(measured["ended_s"] - stopped_s, 1),
        "x_real_time": round(speech_s / wall_s, 1),
        "x_real_time_while_speaking": round(speech_s / speaking_s, 1),
        "steady_x_real_time": steady_rate((take.at_s, take.fields["audio_s"]) for take in takes),
        "while_speaking": {
            **measured["fill"].summary(ready_s, last_take_s),
            **(watch.summary(ready_s, last_take_s) if watch else {}),
        },
        "whole": watch.summary(measured["begun_s"], measured["ended_s"]) if watch else {},
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Narrate a made-up book on one GPU.")
    parser.add_argument("checkpoint", type=Path, nargs="?", help="of full_checkpoint.py --by-text; made if missing")
    parser.add_argument("--hours", type=float, help="of speech; 2.05, or 0.01 with --cpu")
    parser.add_argument("--seed", type=int, default=SEED, help="of the book")
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--format", default="flac", choices=["flac", "mp3", "wav"])
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--name", default="narrate_book")
    options = parser.parse_args()
    kind = "small" if options.cpu else "full"
    options.checkpoint = options.checkpoint or Path(tempfile.gettempdir()) / f"chatterqueue-by-text-{kind}"
    options.hours = options.hours or (0.01 if options.cpu else 2.05)
    return options


if __name__ == "__main__":
    main()
