"""What the engine takes of a GPU's memory: eight slots in 4 GiB, a small card that it fits itself to, and each part."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).resolve().parent.parent.parent
DEADLINE_S = 240.0
MIB = 2**20

#: A card of 8 GiB, of which CUDA's own context and kernels take some 450 MiB.
SMALL_CARD_GIB = 7.5
PROMISED_MIB = 4 * 1_024


def measured(checkpoint: Path, cache_dir: Path, **options: Any) -> dict[str, Any]:
    """Return what `memoryrig.py` found."""
    finished = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "gpu" / "memoryrig.py"), checkpoint, cache_dir, json.dumps(options)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), *sys.path])},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-4_000:]
    line = next(line for line in finished.stdout.splitlines() if line.startswith("FOUND "))
    found: dict[str, Any] = json.loads(line.removeprefix("FOUND "))
    return found


def test_eight_slots_in_int8_take_four_gibibytes_at_most(
    full_checkpoint: Any, figures: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    options = {"precision": "int8", "max_slots": 8, "max_render_frames": 2_560}
    found = measured(full_checkpoint("english"), tmp_path_factory.getbasetemp(), **options)
    figures["int8, 8 slots, 16 segments of 15.6 s"] = found
    assert found["fit"] == {"num_slots": 8, "max_render_frames": 2_560}
    assert found["audio_s"] == [15.6] * 16
    for part in ("loaded", "warm", "speaking"):
        assert found[part]["peak_allocated_mib"] <= found[part]["peak_reserved_mib"] <= PROMISED_MIB, part


def test_on_a_card_of_8_gib_the_engine_fits_itself_and_no_call_runs_out_of_memory(
    full_checkpoint: Any, figures: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = measured(
        full_checkpoint("english"), tmp_path_factory.getbasetemp(), precision="int8", limit_gib=SMALL_CARD_GIB
    )
    figures["int8, a card of 8 GiB, 16 segments of 15.6 s"] = found
    assert found["fit"]["num_slots"] >= 10
    assert found["audio_s"] == [15.6] * 16
    assert found["num_ooms"] == 0
    assert found["speaking"]["peak_reserved_mib"] <= SMALL_CARD_GIB * 1_024


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any]:
    """Return S3Gen and the watermarker, both on the host."""
    import perth
    import torch
    from chatterbox.models.s3gen import S3Gen

    torch.manual_seed(1)
    return S3Gen().eval(), perth.PerthImplicitWatermarker()


@pytest.mark.parametrize("max_frames", [2_560, 10_240])
def test_what_the_renderer_takes_is_what_is_reckoned(
    parts: tuple[Any, Any], figures: dict[str, Any], max_frames: int
) -> None:
    import torch

    from worker.engine.capacity import RENDERER_WEIGHTS_BYTES, costs_of
    from worker.engine.s3gen.renderer import Renderer
    from worker.engine.s3gen.speech import Speech

    stages = Stages()
    with torch.cuda.stream(torch.cuda.Stream()):
        renderer = Renderer(*parts, device="cuda", precision="bf16", max_frames_per_batch=max_frames)
        stages.note("weights")
        renderer.warm_up()
        torch.cuda.empty_cache()
        stages.note("warm")
        with renderer._turnstile:  # as `render` does it
            for name, num_tokens, num_speeches in (("longest", 968, 1), ("a batch", 390, max_frames // 1_284)):
                speeches = [speech_of(Speech, num_tokens, seed) for seed in range(num_speeches)]
                mels = stages.of(f"{name}: flow", lambda speeches=speeches: renderer._flow.mels(speeches))
                samples = stages.of(f"{name}: vocoder", lambda mels=mels: renderer._hift.samples(mels, [1] * len(mels)))
                stages.of(f"{name}: watermark", lambda samples=samples: renderer._watermark.apply(samples))
                del speeches, mels, samples
        renderer_mib, reserved_mib = stages.found["weights"]["allocated"], stages.peak_reserved_mib()
    costs = costs_of("int8")
    reckoned_mib = (costs.render_bytes + max_frames * costs.frame_bytes) / MIB
    figures[f"renderer, batches of {max_frames} frames"] = {
        **stages.found,
        "reckoned_mib": round(reckoned_mib),
        "peak_reserved_mib": reserved_mib,
    }
    assert renderer_mib <= RENDERER_WEIGHTS_BYTES["int8"] / MIB
    assert reserved_mib <= reckoned_mib


def speech_of(kind: Any, num_tokens: int, seed: int) -> Any:
    """Return a speech of noise after a prompt of 10 s."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    reference = {
        "prompt_token": torch.randint(0, 6561, (1, 250), generator=generator).cuda(),
        "prompt_feat": (torch.randn(1, 500, 80, generator=generator) - 5).cuda(),
        "embedding": torch.randn(1, 192, generator=generator).cuda(),
    }
    return kind(torch.randint(0, 6561, (num_tokens,), generator=generator), reference, seed)


class Stages:
    """Notes what torch holds above what it held at first, in MiB."""

    def __init__(self) -> None:
        import torch

        gc.collect()
        torch.cuda.empty_cache()
        self._allocated, self._reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
        self._most_reserved = 0
        self.found: dict[str, dict[str, float]] = {}
        torch.cuda.reset_peak_memory_stats()

    def note(self, name: str) -> None:
        """Note what is held now, and the peaks since the last note."""
        import torch

        torch.cuda.synchronize()
        self._most_reserved = max(self._most_reserved, torch.cuda.max_memory_reserved() - self._reserved)
        self.found[name] = {
            "allocated": round((torch.cuda.memory_allocated() - self._allocated) / MIB, 1),
            "peak_allocated": round((torch.cuda.max_memory_allocated() - self._allocated) / MIB, 1),
            "reserved": round((torch.cuda.memory_reserved() - self._reserved) / MIB, 1),
            "peak_reserved": round((torch.cuda.max_memory_reserved() - self._reserved) / MIB, 1),
        }
        torch.cuda.reset_peak_memory_stats()

    def of(self, name: str, work: Callable[[], Any]) -> Any:
        """Do some work, note what it took, and return what it returned."""
        result = work()
        self.note(name)
        return result

    def peak_reserved_mib(self) -> float:
        """Return the most that was reserved at any time."""
        return round(self._most_reserved / MIB, 1)
