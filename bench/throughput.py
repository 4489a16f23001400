"""How many seconds of speech one GPU makes in a second: the stock package, the plain int8 recipe, and this engine.

    python bench/throughput.py CHECKPOINT [--precisions fp32,bf16,int8] [--passes 4] [--plot]

CHECKPOINT is one of `full_checkpoint.py`, English. All of them speak the segments of `book_lengths.json`, the peers the
first few; from text tokens to FLAC, watermark included. Writes `bench/results/throughput.json` and, if asked, a PNG.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402, TID253 - a benchmark of models

from bench.gpuwatch import GpuWatch  # noqa: E402
from bench.peers import PROMPT_S, load_peer, make_scripts, make_voice, speak_one_by_one  # noqa: E402
from bench.speaking import NUM_VOICES, book_scripts, open_engine, requests_of  # noqa: E402
from bench.steadyrate import Point, steady_rate  # noqa: E402
from worker.audio import encode_segment  # noqa: E402
from worker.engine.request import Take  # noqa: E402

#: Segments that a peer speaks; it needs seconds for each.
NUM_PEER_SEGMENTS: Final = {"stock": 3, "plain int8": 2}
NUM_ENCODERS: Final = 8


def measure_peers(checkpoint: Path, device: str) -> dict[str, Any]:
    """Speak the first segments as the users of the stock package do."""
    scripts = book_scripts()
    voices = [make_voice(seed, device) for seed in range(1, NUM_VOICES + 1)]
    found = {}
    for name, num_segments in NUM_PEER_SEGMENTS.items():
        model = load_peer(name, checkpoint, device)  # type: ignore[arg-type]  # one of two names
        speak_one_by_one(model, [make_scripts([(20, 12)], num_voices=1)[0]], voices)
        found[name] = speak_one_by_one(model, scripts[:num_segments], voices)
        say(name, found[name])
        del model
        _forget_gpu(device)
    return found


def measure_engine(options: argparse.Namespace, precision: str) -> dict[str, Any]:
    """Speak the whole book `passes` times, everything submitted at once, until the last segment is FLAC."""
    opened = open_engine(options, precision)
    found = {**opened.start, **opened.speak_alone(num_speech_tokens=250)}
    requests = requests_of(options.passes * len(book_scripts()))[: options.segments]
    say(precision, {**found, "num_segments": len(requests)})
    progress = Progress(precision)
    watch = GpuWatch() if options.device == "cuda" else None
    with ThreadPoolExecutor(NUM_ENCODERS) as encoders, watch or contextlib.nullcontext():
        started_s = time.perf_counter()
        futures = [opened.engine.submit(request) for request in requests]
        encoded = [encoders.submit(_encode, future, progress) for future in futures]
        audio_s = sum(future.result() for future in encoded)
        wall_s = time.perf_counter() - started_s
    usages = [usage for future in futures if (usage := future.result().usage)]
    found |= {
        "num_segments": len(futures),
        "audio_s": round(audio_s, 1),
        "wall_s": round(wall_s, 2),
        "x_real_time": round(audio_s / wall_s, 1),
        "steady_x_real_time": progress.steady_rate(),
        "decode_s": round(sum(usage.decode_s for usage in usages), 2),
        "render_s": round(sum(usage.render_s for usage in usages), 2),
        **(watch.summary() if watch else {}),
        "torch_peak_mib": round(torch.cuda.max_memory_allocated() / 2**20) if options.device == "cuda" else None,
    }
    say(precision, found)
    opened.engine.close(30.0)
    del opened, futures, encoded
    _forget_gpu(options.device)
    return found


class Progress:
    """Tells how far a run is, and how fast it was without its beginning and its end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._started_s = time.perf_counter()
        self._points: list[Point] = []
        self._audio_s = 0.0

    def add(self, audio_s: float) -> None:
        """Note a finished segment. Appending is safe from many threads; a line now and then is only for people."""
        self._audio_s += audio_s
        now_s = time.perf_counter() - self._started_s
        self._points.append((now_s, audio_s))
        if len(self._points) % 128 == 0:
            say(self._name, {"segments": len(self._points), "x_real_time": round(self._audio_s / now_s, 1)})

    def steady_rate(self) -> float | None:
        """Return audio seconds per second without the beginning and the end; see `bench.steadyrate`."""
        return steady_rate(self._points)


def _encode(future: Future[Take], progress: Progress) -> float:
    """Do what a worker's thread does with a take, but for the upload, and return its seconds of audio."""
    take = future.result()
    encode_segment(take.pcm, take.sample_rate_hz)
    audio_s = len(take.pcm) / take.sample_rate_hz
    progress.add(audio_s)
    return audio_s


def _forget_gpu(device: str) -> None:
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def say(name: str, found: dict[str, Any]) -> None:
    """Print a line at once: a run that is cut off has told what it knew."""
    print(name, json.dumps(found), flush=True)


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description="Audio seconds per second, with its peers, in one run.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--precisions", default="fp32,bf16,int8")
    parser.add_argument("--passes", type=int, default=1, help="how often the book is spoken")
    parser.add_argument("--segments", type=int, help="no more than so many")
    parser.add_argument("--slots", type=int, default=128)
    parser.add_argument("--render-frames", type=int, default=None)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--plot", action="store_true")
    parser.add_argument("--name", default="throughput")
    options = parser.parse_args()

    result: dict[str, Any] = {
        "command": " ".join(["python bench/throughput.py CHECKPOINT", *sys.argv[1:]]).replace(
            f" {options.checkpoint}", ""
        ),
        "gpu": torch.cuda.get_device_name() if options.device == "cuda" else None,
        "settings": {
            "weights": "random, full size",
            "segments": "bench/book_lengths.json",
            "voices": NUM_VOICES,
            "prompt_s": PROMPT_S,
            "flow_steps": 10,
            "cfg_weight": 0.5,
            "temperature": 0.8,
            "watermark": True,
            "output": "FLAC, 24 kHz, 16 bit",
        },
        "peers": {},
        "engine": {},
    }
    for precision in options.precisions.split(","):
        result["engine"][precision] = measure_engine(options, precision)
        _write(options, result)
    if not options.no_peers:
        result["peers"] = measure_peers(options.checkpoint, options.device)
        _write(options, result)


def _write(options: argparse.Namespace, result: dict[str, Any]) -> None:
    from bench.record import write_result

    for name, engine in result["engine"].items():
        result.setdefault("ratios", {})[name] = {
            f"times {peer}": round(engine["x_real_time"] / found["x_real_time"], 1)
            for peer, found in result["peers"].items()
        }
    path = write_result(options.name, result)
    if options.plot:
        from bench.throughput_plot import plot

        plot(result, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
