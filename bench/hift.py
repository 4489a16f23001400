"""Times the vocoder and the watermark on a GPU, beside chatterbox-tts' and resemble-perth's own.

    python bench/hift.py [--out FILE.json] [--seconds 85]

Random weights of full size, random mels; 50 mel frames are a second. What is left when the seconds are over is skipped
and named. Stock batches are utterances of one length, which is all that it can do.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import torch  # noqa: E402, TID253
from stockvocoder import speak_alone, stock_fade, stock_vocoder  # noqa: E402

from worker.engine.s3gen.hift import Hift, VocoderPrecision  # noqa: E402
from worker.engine.s3gen.watermark import Watermark  # noqa: E402
from worker.models.watermark import detect_watermark  # noqa: E402

FRAMES_PER_S = 50
RATE_HZ = 24_000
DEVICE = torch.device("cuda")
#: What a batch of the farm looks like: 4 to 25 s, 15.6 s on the average.
MIXED_S = (15.6, 8.0, 22.0, 4.0, 25.0, 13.0, 18.0, 19.2)
BATCHES = ((1, 15.0), (8, 15.0), (32, 15.0), (32, 4.0))
#: Precision, and whether cuDNN searches for its fastest algorithms.
FORMS: tuple[tuple[VocoderPrecision, bool], ...] = (("tf32", False), ("bf16", False), ("tf32", True), ("fp32", False))
#: Lengths of a row: what these batches need.
ROWS_FRAMES = (1_024, 8_192)


class Run:
    """The figures, and the time that is left to take them."""

    def __init__(self, seconds: float) -> None:
        self.started_s = time.monotonic()
        self.seconds = seconds
        self.figures: dict[str, Any] = {}

    def part(self, name: str, measure: Callable[[], Any], *, needs_s: float = 2.0) -> Any:
        """Take one figure, or several by way of this function; a failure costs the part only."""
        found: Any = "skipped: no time left"
        if time.monotonic() - self.started_s + needs_s <= self.seconds:
            try:
                found = measure()
            except Exception as exc:  # noqa: BLE001 - the other parts are wanted all the same
                traceback.print_exc(limit=6)
                found = f"failed: {type(exc).__name__}: {exc}"[:400]
        if found is None:
            return found
        self.figures[name] = found
        print(f"[{time.monotonic() - self.started_s:5.1f} s] {name}: {json.dumps(found)}", flush=True)
        return found


def timed_ms(call: Callable[[], Any], *, num_calls: int = 3) -> float:
    """Return the median milliseconds of a call, waiting for the device each time; the first two calls warm it up."""
    samples = []
    for number in range(num_calls + 2):
        torch.cuda.synchronize()
        begun_s = time.perf_counter()
        call()
        torch.cuda.synchronize()
        if number >= 2:
            samples.append(1_000 * (time.perf_counter() - begun_s))
    return statistics.median(samples)


def speed(call: Callable[[], Any], audio_s: float, *, num_calls: int = 3) -> dict[str, float]:
    """Return milliseconds, audio seconds in a second, and the memory that the call needs above what is there."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    ms = timed_ms(call, num_calls=num_calls)
    peak = torch.cuda.max_memory_allocated() - before
    return {"ms": round(ms, 2), "x_real_time": round(audio_s / ms * 1_000), "peak_mib": round(peak / 2**20)}


def random_mels(lengths_s: tuple[float, ...]) -> list[torch.Tensor]:
    """Return [80, F] float32 on the device for each length."""
    generator = torch.Generator(DEVICE).manual_seed(0)
    return [
        torch.randn(80, round(length * FRAMES_PER_S), generator=generator, device=DEVICE) * 2 - 5
        for length in lengths_s
    ]


def references(stock: Any) -> list[tuple[torch.Tensor, int, torch.Tensor]]:
    """Return mels, seeds and what the stock vocoder makes of each alone on the CPU, where it adds up most exactly."""
    on_cpu = stock.cpu()
    found = []
    for seed, mel in enumerate(random_mels((0.4, 1.5, 0.04, 0.8))):
        found.append((mel, seed, speak_alone(on_cpu, stock_fade(), mel.cpu(), seed)))
    stock.to(DEVICE)
    return found


def exactness(hift: Hift, wanted: list[tuple[torch.Tensor, int, torch.Tensor]]) -> dict[str, Any]:
    """Return how far a mixed batch is from the stock vocoder in full float32, each utterance alone, same noise."""
    found = hift.samples([mel for mel, _, _ in wanted], [seed for _, seed, _ in wanted])
    worst = {"max_abs": 0.0, "relative_rms": 0.0}
    for samples, (_, _, alone) in zip(found, wanted, strict=True):
        difference = samples.cpu() - alone
        worst["max_abs"] = max(worst["max_abs"], difference.abs().max().item())
        worst["relative_rms"] = max(worst["relative_rms"], (difference.norm() / alone.norm()).item())
    return {name: float(f"{value:.3g}") for name, value in worst.items()}


def kernels_of(call: Callable[[], Any], *, num_shown: int = 14) -> dict[str, str]:
    """Return the kernels that take longest in a call, with calls and milliseconds."""
    from torch.profiler import ProfilerActivity, profile

    call()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        call()
        torch.cuda.synchronize()
    events = sorted(profiler.key_averages(), key=lambda event: -event.device_time_total)
    return {
        event.key[:90]: f"{event.count} x, {event.device_time_total / 1_000:.2f} ms" for event in events[:num_shown]
    }


def measure_stock_vocoder(run: Run, stock: Any) -> None:
    """Measure chatterbox-tts' own vocoder."""
    for number, length_s in ((1, 15.0), (8, 15.0), (32, 15.0)):
        mels = torch.stack(random_mels((length_s,) * number))
        call = partial(stock.inference, speech_feat=mels)
        run.part(f"stock: {number} x {length_s:g} s", partial(speed, call, number * length_s), needs_s=1)


def measure_vocoder(run: Run, stock: Any, wanted: Any, precision: VocoderPrecision, is_searching: bool) -> None:
    """Measure one form of ours: exactness, time to make its graphs, speed, and which kernels take it."""
    form = f"{precision}{' searched' * is_searching}"
    hift = Hift(stock, stock_fade(), device=DEVICE, precision=precision, budgets_frames=ROWS_FRAMES)
    run.part(f"{form}: error without graphs", partial(exactness, hift, wanted))

    def warm_up(hift: Hift = hift) -> dict[str, float]:
        begun_s, before = time.monotonic(), torch.cuda.memory_reserved()
        hift.warm_up(is_searching=is_searching)
        torch.cuda.synchronize()
        grown = (torch.cuda.memory_reserved() - before) / 2**20
        return {"seconds": round(time.monotonic() - begun_s, 1), "reserved_mib": round(grown)}

    run.part(f"{form}: warm-up", warm_up, needs_s=4)
    run.part(f"{form}: error", partial(exactness, hift, wanted))
    shapes = [(f"{number} x {length_s:g} s", (length_s,) * number) for number, length_s in BATCHES]
    for name, lengths_s in [("32 mixed", MIXED_S * 4), *shapes]:
        mels = random_mels(lengths_s)
        call = partial(hift.samples, mels, range(len(mels)))
        run.part(f"{form}: {name}", partial(speed, call, sum(lengths_s)), needs_s=1)
    if precision != "fp32" and not is_searching:
        call = partial(hift.samples, random_mels(MIXED_S * 4), range(32))
        run.part(f"{form}: kernels of 32 mixed", partial(kernels_of, call))
    del hift
    torch.cuda.empty_cache()


def voices(lengths_s: tuple[float, ...]) -> list[torch.Tensor]:
    """Return buzzes that swell, [S] float32 on the device."""
    found = []
    for seed, length_s in enumerate(lengths_s):
        time_s = torch.arange(round(length_s * FRAMES_PER_S) * 480, device=DEVICE) / RATE_HZ
        phase = 2 * torch.pi * (100 + 3 * seed) * (time_s + 0.01 * torch.sin(2 * torch.pi * 3 * time_s))
        buzz = sum(torch.sin(harmonic * phase) / harmonic for harmonic in range(1, 20))
        found.append(0.1 * buzz * (0.3 + 0.7 * torch.sin(2 * torch.pi * 1.5 * time_s).abs()))
    return found


def measure_watermark(run: Run) -> None:
    """Measure the watermark: detection of every utterance, the difference from the stock one, and speed."""
    import perth

    with contextlib.redirect_stdout(io.StringIO()):
        on_gpu, on_cpu = (perth.PerthImplicitWatermarker(device=device) for device in ("cuda", "cpu"))
    watermark = Watermark(on_gpu, device=DEVICE)

    def marks() -> dict[str, float]:
        samples = voices((0.3, 1.0, 4.0, 2.0, 8.0, 0.5))
        found = watermark.apply(samples)
        with torch.inference_mode():
            alone = [on_cpu.apply_watermark(each.cpu().numpy(), sample_rate=RATE_HZ) for each in samples]
        scores = [detect_watermark(on_cpu, pcm, RATE_HZ) for pcm in found]
        error = max(np.abs(pcm - other).max() for pcm, other in zip(found, alone, strict=True))
        return {"least_detection": round(min(scores), 4), "max_abs_error_to_cpu": float(f"{error:.3g}")}

    run.part("watermark: marks", marks)
    for name, lengths_s in (("32 mixed", MIXED_S * 4), ("1 x 15 s", (15.0,)), ("8 x 15 s", (15.0,) * 8)):
        call = partial(watermark.apply, voices(lengths_s))
        run.part(f"watermark: {name}", partial(speed, call, sum(lengths_s)))
    run.part("watermark: kernels of 32 mixed", partial(kernels_of, partial(watermark.apply, voices(MIXED_S * 4))))
    pcm = voices((10.0,))[0].cpu().numpy()
    with torch.inference_mode():
        for name, stock in (("GPU", on_gpu), ("CPU", on_cpu)):
            call = partial(stock.apply_watermark, pcm, sample_rate=RATE_HZ)
            run.part(f"stock watermark on the {name}: 1 x 10 s", partial(speed, call, 10.0))


def main() -> None:
    """Measure, print as it goes, write the file."""
    parser = argparse.ArgumentParser(description="Time the vocoder and the watermark on a GPU.")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "hift.json")
    parser.add_argument("--seconds", type=float, default=85.0)
    arguments = parser.parse_args()
    run = Run(arguments.seconds)
    try:
        stock = stock_vocoder().to(DEVICE)
        wanted = references(stock)
        run.part(str(FORMS[0]), partial(measure_vocoder, run, stock, wanted, *FORMS[0]))
        run.part("watermark", partial(measure_watermark, run))
        for form in FORMS[1:]:
            run.part(str(form), partial(measure_vocoder, run, stock, wanted, *form))
        run.part("stock vocoder", partial(measure_stock_vocoder, run, stock))
    finally:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        about = {
            "command": "python bench/hift.py",
            "commit": os.environ.get("GPU_TEST_COMMIT"),
            "machine": torch.cuda.get_device_name(),
            "torch": torch.__version__,
            "weights": "random, full size; Perth's own",
            "figures": run.figures,
        }
        arguments.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
