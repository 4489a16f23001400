"""The whole path with one GPU and with more of the same host, beside the engine alone: `python -m bench.scaling`.

    python -m bench.scaling [CHECKPOINT] [--gpus 1,2,4] [--parts] [--plot]

Narrations are handed in by the producer's client, all at once, go through the embedded Valkey to the processes of one
`worker --gpus ...`, and end as audio files in the embedded S3 server. The engine alone speaks the same segments with
the same seeds, in one process and without all that. Each GPU more gets as many narrations more. Weights are random, of
full size, and speak as long as their text is. `--cpu` tries all of it with small weights and two processes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.bytext import checkpoint_by_text
from bench.farm import gpu_farm, wait_for_all
from bench.fillwatch import FillWatch
from bench.gpuwatch import GpuWatch
from bench.madeupbook import CHARACTERS_PER_S, book
from bench.record import RESULTS, ROOT, write_result
from bench.scaling_plot import plot
from bench.steadyrate import steady_rate
from bench.stopwatch import VARIABLE, read_lines, site_environment, table
from bench.workerlog import read_events
from producer import Narration
from worker.gpus import visible_gpus
from worker.text import split

#: Seconds of speech of each narration: a long article.
NARRATION_S: Final = 600.0
#: Seconds that a run may take before it counts as stuck.
TIMEOUT_S: Final = 900.0


def main() -> None:
    """Measure, print and record; what is known is written after each part."""
    options = _options()
    checkpoint_by_text(options.checkpoint, is_small=options.cpu)
    before = json.loads((RESULTS / f"{options.name}.json").read_text()) if options.add else {}
    result: dict[str, Any] = {
        "command": "python -m bench.scaling " + " ".join(sys.argv[1:]),
        "settings": {
            "weights": "random, small" if options.cpu else "random, full size",
            "speech_s_per_gpu": options.speech_s,
            "speech_s_per_narration": options.narration_s,
            "format": options.format,
            "num_slots": options.slots or "as many as fit",
        },
        "whole_path": before.get("whole_path", {}),
        **({"engine_alone": before["engine_alone"]} if "engine_alone" in before else {}),
    }
    if not options.no_alone:
        result["engine_alone"] = measure_alone(options)
        _write(options, result)
    for num_gpus in options.gpus:
        result["whole_path"][str(num_gpus)] = measure_whole_path(options, num_gpus)
        _write(options, result)


def texts_of(options: argparse.Namespace, num_gpus: int) -> list[str]:
    """Return the texts of all narrations; those for one GPU are the first of those for more."""
    num_narrations = max(1, round(options.speech_s / options.narration_s)) * num_gpus
    num_characters = round(options.narration_s * CHARACTERS_PER_S)
    return [book(seed, num_characters=num_characters) for seed in range(1, num_narrations + 1)]


def measure_alone(options: argparse.Namespace) -> dict[str, Any]:
    """Have the engine alone speak what one GPU gets, in a process that ends."""
    segments = [
        segment.text
        for text in texts_of(options, 1)
        for segment in split(text, language="en", narration_id="scaling").segments
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps(segments))
        command = [sys.executable, "-m", "bench.aloneengine", str(options.checkpoint), str(path)]
        command += ["--device", "cpu"] if options.cpu else ["--gpu", options.devices[0]]
        command += ["--slots", str(options.slots)] if options.slots else []
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": options.devices[0]}
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    start, *_, found = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    return {**start, **found}


def measure_whole_path(options: argparse.Namespace, num_gpus: int) -> dict[str, Any]:
    """Hand in as many narrations as some GPUs get and wait for all of them."""
    narrations = [
        Narration(text=text, engine="chatterbox", format=options.format) for text in texts_of(options, num_gpus)
    ]
    gpus = options.devices[:num_gpus]
    with tempfile.TemporaryDirectory(prefix="scaling-") as name, contextlib.ExitStack() as watched:
        folder = Path(name)
        begun_s = time.time()
        client = watched.enter_context(gpu_farm(gpus, _environment(options, folder), folder=folder))
        watches = [] if options.cpu else [watched.enter_context(GpuWatch(int(gpu))) for gpu in gpus]
        fill = watched.enter_context(FillWatch(folder))
        submitted_s = time.time()
        ids = client.submit_many(narrations).ids
        queued_s = time.time()
        statuses = wait_for_all(client, ids, timeout_s=TIMEOUT_S)
        ended_s = time.time()
        takes = [event for event in read_events(folder / "logs" / "worker-0.log") if event.name == "take_finished"]
        spoken = [(take.at_s, take.fields["audio_s"]) for take in takes]
        last_take_s = max(at_s for at_s, _ in spoken)
        return {
            "num_narrations": len(ids),
            "num_segments": sum(status.num_segments or 0 for status in statuses),
            "num_attempts": sum(status.num_attempts for status in statuses),
            "audio_s": round(sum(audio_s for _, audio_s in spoken), 1),
            "ready_after_s": round(submitted_s - begun_s, 1),
            "submit_s": round(queued_s - submitted_s, 2),
            "speaking_s": round(last_take_s - submitted_s, 2),
            "wall_s": round(ended_s - submitted_s, 2),
            "x_real_time": round(sum(audio_s for _, audio_s in spoken) / (ended_s - submitted_s), 1),
            "steady_x_real_time": steady_rate(spoken),
            **fill.summary(submitted_s, last_take_s),
            "gpus": [watch.summary(submitted_s, last_take_s) for watch in watches],
            **({"parts": table(read_lines(_parts(folder)), submitted_s, last_take_s)} if options.parts else {}),
        }


def _parts(folder: Path) -> Path:
    return folder / "parts"


def _environment(options: argparse.Namespace, folder: Path) -> dict[str, str]:
    environment = {
        "CHATTERQUEUE_ENGINE": "chatterbox",
        "CHATTERQUEUE_MODEL_DIR": str(options.checkpoint.resolve()),
        "CHATTERQUEUE_MAX_RETAKES": "0",  # random weights babble, and would do so again
    }
    if options.cpu:
        environment |= {"CHATTERQUEUE_DEVICE": "cpu", "CHATTERQUEUE_NUM_THREADS": "1"}
    if options.slots:
        environment["CHATTERQUEUE_MAX_SLOTS"] = str(options.slots)
    if options.parts:
        environment |= {VARIABLE: str(_parts(folder)), **site_environment()}
    return environment


def ratios(result: dict[str, Any]) -> dict[str, float]:
    """Return what the issue is about: the whole path beside the engine alone, and several GPUs beside one."""
    found = {}
    paths, alone = result["whole_path"], result.get("engine_alone")
    for name in ("x_real_time", "steady_x_real_time"):
        one = paths.get("1", {}).get(name)
        if one and alone and alone[name]:
            found[f"whole path / engine alone, {name}"] = round(one / alone[name], 3)
        for num_gpus, path in paths.items():
            if one and num_gpus != "1" and path[name]:
                found[f"{num_gpus} GPUs / 1, {name}"] = round(path[name] / one, 3)
    return found


def _write(options: argparse.Namespace, result: dict[str, Any]) -> None:
    result["ratios"] = ratios(result)
    path = write_result(options.name, result)
    newest = list(result["whole_path"].items())[-1:] or result["engine_alone"]
    print(json.dumps(result["ratios"]), json.dumps(newest), flush=True)
    if options.plot and result["whole_path"]:
        plot(result, path.with_suffix(".png"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The whole path with one GPU and with more.")
    parser.add_argument("checkpoint", type=Path, nargs="?", help="of full_checkpoint.py --by-text; made if missing")
    parser.add_argument("--gpus", help="numbers of GPUs to measure with; 1, 2 and 4, as far as there are so many")
    parser.add_argument("--speech-s", type=float, help="seconds of speech for each GPU; 12,000, or 12 with --cpu")
    parser.add_argument("--narration-s", type=float, help="seconds of speech of each narration")
    parser.add_argument("--format", default="flac", choices=["flac", "mp3", "wav"])
    parser.add_argument("--slots", type=int, help="of each engine; as many as fit, if not given")
    parser.add_argument("--parts", action="store_true", help="say where the threads of a worker process are")
    parser.add_argument("--no-alone", action="store_true", help="leave the engine alone out")
    parser.add_argument("--add", action="store_true", help="to what an earlier call wrote under the same name")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--plot", action="store_true")
    parser.add_argument("--name", default="scaling")
    options = parser.parse_args()
    kind = "small" if options.cpu else "full"
    options.checkpoint = options.checkpoint or Path(tempfile.gettempdir()) / f"chatterqueue-by-text-{kind}"
    options.devices = ["0", "1"] if options.cpu else visible_gpus(os.environ)
    wanted = [int(number) for number in (options.gpus or "1,2,4").split(",")]
    options.gpus = [number for number in wanted if number <= len(options.devices)]
    options.speech_s = options.speech_s or (12.0 if options.cpu else 12_000.0)
    options.narration_s = options.narration_s or (6.0 if options.cpu else NARRATION_S)
    return options


if __name__ == "__main__":
    main()
