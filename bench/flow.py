"""Times the batched flow of S3Gen on a GPU: its attention, one call of its estimator, all of it, and its peers.

    python bench/flow.py [--out FILE.json] [--seconds 150] [--peers]

Full-size random weights; speeches of 4 to 25 s, 15.6 s on the average, after prompts of 10 s. An audio second is one of
speech: prompts are not counted. What is left when the seconds are over is skipped and named.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", "/tmp/chatterqueue-inductor")

import torch  # noqa: E402, TID253

from bench.flow_load import (  # noqa: E402
    DEVICE,
    PROMPT_TOKENS,
    Run,
    audio_s,
    load_s3gen,
    packing_for,
    speeches_for,
    timed_ms,
)
from worker.engine.s3gen import attention, sections  # noqa: E402
from worker.engine.s3gen.batch import Packing  # noqa: E402
from worker.engine.s3gen.flow import make_flow  # noqa: E402
from worker.engine.s3gen.graphpool import GraphPool  # noqa: E402
from worker.engine.s3gen.graphs import GraphedSolver  # noqa: E402
from worker.engine.s3gen.solver import NUM_STEPS, Solver  # noqa: E402

#: Packed frames; a call of the estimator has twice as many rows.
BATCH_FRAMES = (2_048, 8_192, 24_576, 49_152)
MAX_SEQUENCE_FRAMES = 4_096


def attention_figures(form: attention.AttentionForm, frames: int = BATCH_FRAMES[-1]) -> dict[str, float]:
    packing = packing_for(frames)
    bounds = [
        (half + start, half + start + length)
        for half in (0, frames)
        for start, length in zip(packing.starts, packing.lengths, strict=True)
    ]
    joined = torch.randn(2 * frames, 3, 8, 64, device=DEVICE, dtype=torch.bfloat16)
    table = form.table(bounds, 2 * frames).to(DEVICE)
    exact = attention.flash(MAX_SEQUENCE_FRAMES)
    with torch.inference_mode():
        ms = timed_ms(lambda: form.attend(joined, table), num_calls=9)
        wanted = exact.attend(joined, exact.table(bounds, 2 * frames).to(DEVICE))
        found = form.attend(joined, table)
    real = torch.cat([torch.arange(start, end) for start, end in bounds]).to(DEVICE)
    tera = sum(4 * 512 * (end - start) ** 2 for start, end in bounds) / 1e12
    return {
        "ms": ms,
        "TFLOP/s": round(tera / ms * 1e3, 1),
        "difference from flash": float((found[real].float() - wanted[real].float()).abs().max()),
    }


def cudnn() -> attention.AttentionForm:
    """Return attention by cuDNN, which torch does not offer for packed rows by name."""

    def attend(joined: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        longest = MAX_SEQUENCE_FRAMES
        return torch.ops.aten._cudnn_attention_forward(
            *joined.unbind(1), None, table, table, longest, longest, False, 0.0, False, False
        )[0]

    return attention.flash(MAX_SEQUENCE_FRAMES)._replace(attend=attend)


def step_figures(solver: Solver, frames: int) -> dict[str, Any]:
    """Time one step in a graph."""
    graphed = GraphedSolver(solver, max_frames=frames)
    started_s = time.monotonic()
    with torch.inference_mode():
        captured = graphed._capture(solver.make_workspace(frames), GraphPool(torch.device(DEVICE)))
        torch.cuda.synchronize()
        capture_s = time.monotonic() - started_s
        packing = packing_for(frames)
        noise, context = torch.randn(frames, 80, device=DEVICE), torch.randn(frames, 240, device=DEVICE)
        solver.fill(captured.workspace, noise, context, packing)

        def replay() -> None:
            captured.workspace.step.zero_()
            captured.graph.replay()

        ms = timed_ms(replay)
    spoken_s = audio_s(speeches_for(frames))
    return {
        "ms": ms,
        "audio_s_per_s": round(spoken_s / (NUM_STEPS * ms / 1e3), 1),
        "first_call_and_capture_s": round(capture_s, 2),
        "speeches": len(packing.lengths),
    }


def profile(solver: Solver, frames: int) -> list[list[Any]]:
    """Return the kernels of one step that take the most time: name, ms, calls."""
    with torch.inference_mode():
        workspace = solver.make_workspace(frames)
        solver.fill(
            workspace,
            torch.randn(frames, 80, device=DEVICE),
            torch.randn(frames, 240, device=DEVICE),
            packing_for(frames),
        )
        solver.take_step(workspace)
        workspace.step.zero_()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
            solver.take_step(workspace)
            torch.cuda.synchronize()
    events = sorted(profiler.key_averages(), key=lambda event: -event.self_device_time_total)[:16]
    rows = [[event.key[:70], round(event.self_device_time_total / 1e3, 2), event.count] for event in events]
    for row in rows:
        print("   ", *row, flush=True)
    return rows


def flow_figures(flow: Any, frames: int) -> dict[str, Any]:
    speeches = speeches_for(frames)
    torch.cuda.reset_peak_memory_stats()
    flow.mels(speeches)
    torch.cuda.synchronize()
    started_s = time.monotonic()
    for _ in range(3):
        mels = flow.mels(speeches)
    torch.cuda.synchronize()
    taken_s = (time.monotonic() - started_s) / 3
    assert not any(isinstance(mel, Exception) for mel in mels)
    with torch.inference_mode():
        encoder_ms = timed_ms(lambda: flow._encode(speeches), num_calls=3)
        packing = Packing(tuple(speech.num_frames for speech in speeches), frames)
        prepare_ms = timed_ms(lambda: (flow._noise(speeches, packing), flow._context(speeches, packing)), num_calls=3)
    return {
        "ms": round(taken_s * 1e3, 1),
        "audio_s_per_s": round(audio_s(speeches) / taken_s, 1),
        "speeches": len(speeches),
        "encoder_ms": encoder_ms,
        "encoder_noise_and_context_ms": prepare_ms,
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2),
    }


def stock_figures(flow: Any, *, num_speeches: int = 2) -> dict[str, Any]:
    speeches = speeches_for(10_000)[:num_speeches]

    def speak() -> None:
        for speech in speeches:
            flow.inference(
                token=speech.tokens[None].to(DEVICE),
                token_len=torch.tensor([speech.tokens.numel()], device=DEVICE),
                finalize=True,
                n_timesteps=NUM_STEPS,
                **speech.reference,
            )

    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
        ms = timed_ms(speak, num_calls=2)
    return {"ms": ms, "audio_s_per_s": round(audio_s(speeches) / ms * 1e3, 1)}


def padded_figures(estimator: Any, *, num_speeches: int = 32, frames: int = 1_280) -> dict[str, Any]:
    """Time the stock estimator, compiled, on a padded batch of speeches that are all of the average length."""
    import copy

    half = copy.deepcopy(estimator).bfloat16()
    rows = 2 * num_speeches
    sizes = {"x": 80, "mu": 80, "cond": 80, "mask": 1}
    inputs = {name: torch.ones(rows, size, frames, device=DEVICE).bfloat16() for name, size in sizes.items()}
    inputs |= {
        "t": torch.zeros(rows, device=DEVICE).bfloat16(),
        "spks": torch.ones(rows, 80, device=DEVICE).bfloat16(),
    }
    compiled = torch.compile(half, dynamic=False)
    started_s = time.monotonic()
    with torch.inference_mode():
        compiled(**inputs)
        torch.cuda.synchronize()
        compile_s = time.monotonic() - started_s
        ms = timed_ms(lambda: compiled(**inputs))
    spoken_s = num_speeches * (frames - 2 * PROMPT_TOKENS) / 50
    return {
        "ms": ms,
        "audio_s_per_s": round(spoken_s / (NUM_STEPS * ms / 1e3), 1),
        "compile_s": round(compile_s, 1),
        "note": "equal lengths: what padding wastes on mixed ones is not in it",
    }


#: What is compared: section, attention, packed frames.
VARIANTS = (
    ("fused", "tiled", BATCH_FRAMES),
    ("compiled", "tiled", BATCH_FRAMES[-1:]),
    ("plain", "flash", BATCH_FRAMES[-1:]),
)

#: Rows, keys at a time, warps and stages of our attention.
TILE_SHAPES = (
    (128, 64, 8, 3),
    (64, 64, 4, 2),
    (64, 64, 4, 3),
    (64, 128, 4, 2),
    (128, 32, 8, 4),
    (64, 32, 4, 4),
    (256, 64, 16, 3),
)


def measure_variants(run: Run, cfm: Any, variants: Sequence[tuple[str, str, Sequence[int]]]) -> None:
    forms = {"flash": attention.flash(MAX_SEQUENCE_FRAMES), "tiled": attention.tiled()}
    for section, attending, batches in variants:
        name = f"{section} section, {attending} attention"
        half: dict[str, Any] = {"dtype": torch.bfloat16, "device": DEVICE}
        solver = Solver(cfm, forms[attending], section=sections.FORMS[section](), **half)
        for frames in reversed(batches):
            run.part(f"step, {name}, {2 * frames} rows", partial(step_figures, solver, frames), needs_s=8)
        run.part(f"kernels, {name}", partial(profile, solver, BATCH_FRAMES[-1]))
        torch.cuda.empty_cache()


def measure(run: Run, *, has_peers: bool) -> None:
    s3gen = load_s3gen()
    print(f"[{run.elapsed_s():6.1f} s] S3Gen made", flush=True)
    run.part("attention, flash", lambda: attention_figures(attention.flash(MAX_SEQUENCE_FRAMES)))
    for shape in TILE_SHAPES:
        form = attention.tiled(attention.TileShape(*shape))
        run.part(f"attention, tiled, rows, keys, warps and stages {shape}", partial(attention_figures, form))
    measure_variants(run, s3gen.flow.decoder, VARIANTS[:1])
    flow = make_flow(s3gen.flow, device=DEVICE, precision="bf16", max_frames=BATCH_FRAMES[-1])

    def warm_up() -> float:
        started_s = time.monotonic()
        flow.warm_up()
        torch.cuda.synchronize()
        return round(time.monotonic() - started_s, 2)

    run.part("flow, warm-up seconds", warm_up, needs_s=20)
    for frames in BATCH_FRAMES:
        run.part(f"flow, {frames} frames", partial(flow_figures, flow, frames))
    run.part("stock flow, bf16 autocast, one by one", lambda: stock_figures(s3gen.flow))
    measure_variants(run, s3gen.flow.decoder, VARIANTS[1:])
    # Last, because a fault of the device would cost all that comes after it.
    run.part("attention, cuDNN", lambda: attention_figures(cudnn()))
    if has_peers:
        run.part("padded and compiled stock estimator", lambda: padded_figures(s3gen.flow.decoder.estimator))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--peers", action="store_true", help="the padded estimator too: a minute of compiling")
    options = parser.parse_args()
    run = Run(options.seconds)
    try:
        measure(run, has_peers=options.peers)
    finally:
        about = {
            "command": "python bench/flow.py",
            "machine": torch.cuda.get_device_name(),
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "weights": "random, full size",
            "figures": run.figures,
        }
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
