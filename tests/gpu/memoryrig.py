"""Speaks with a full-size engine in a process of its own, and prints what of the GPU's memory it took, as JSON.

    python tests/gpu/memoryrig.py CHECKPOINT CACHE_DIR OPTIONS

OPTIONS are a JSON object: `max_slots`, `max_render_frames`, `precision`, and `limit_gib`, what torch may take of the
GPU. A process of its own, because torch's peaks and its cache are those of all that a process ever did.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - this measures it
from engine_conformance import segment

from worker.engine.chatterbox import ChatterboxEngine
from worker.engine.preparation import ChatterboxPreparation, ChatterboxScript
from worker.engine.request import SegmentRequest
from worker.engine.s3gen.speech import Speech
from worker.models.generation import NUM_SOUNDS

#: 15.6 s of speech, the mean of a book, after a prompt of 10 s: the longest that a voice has.
NUM_TOKENS = 390
NUM_PROMPT_TOKENS = 250
NUM_VOICES = 2
NUM_SEGMENTS = 16
DEADLINE_S = 120.0


class NoiseScript(ChatterboxScript):
    """Random weights draw tokens that have no sound, too; here all of them have one."""

    def speech(self, tokens: torch.Tensor, seed: int) -> Speech:
        """Return what S3Gen makes audible."""
        return Speech(tokens % NUM_SOUNDS, self.voice.gen, seed)


class LongAsInABook(ChatterboxPreparation):
    """Says how long each segment is, as random weights do not, and speaks with voices of noise."""

    def __init__(self, model: Any, **options: Any) -> None:
        super().__init__(model, **options)
        generator = torch.Generator().manual_seed(1)
        self._noise = [self._voice(model, generator) for _ in range(NUM_VOICES)]

    def prepare(self, request: SegmentRequest) -> ChatterboxScript:
        script = super().prepare(request)
        return NoiseScript(
            text_tokens=script.text_tokens,
            voice=self._noise[request.seed % NUM_VOICES],
            exaggeration=script.exaggeration,
            sampling=script.sampling,
            max_tokens=NUM_TOKENS + 1,
            num_forced_tokens=NUM_TOKENS,
        )

    @staticmethod
    def _voice(model: Any, generator: torch.Generator) -> Any:
        gen = {
            "prompt_token": torch.randint(0, 6561, (1, NUM_PROMPT_TOKENS), generator=generator),
            "prompt_token_len": torch.tensor([NUM_PROMPT_TOKENS]),
            "prompt_feat": torch.randn(1, 2 * NUM_PROMPT_TOKENS, 80, generator=generator) - 5,
            "prompt_feat_len": None,
            "embedding": torch.randn(1, 192, generator=generator),
        }
        t3 = replace(model.conds.t3, speaker_emb=torch.randn(1, 256, generator=generator))
        return type(model.conds)(t3, gen).to(model.device)


def mib(num_bytes: float) -> float:
    """Return bytes as MiB."""
    return round(num_bytes / 2**20, 1)


def memory() -> dict[str, float]:
    """Return what torch holds now and held at most since the last call, and what the driver has given away."""
    torch.cuda.synchronize()
    free_bytes, total_bytes = torch.cuda.mem_get_info()
    found = {
        "allocated_mib": mib(torch.cuda.memory_allocated()),
        "peak_allocated_mib": mib(torch.cuda.max_memory_allocated()),
        "reserved_mib": mib(torch.cuda.memory_reserved()),
        "peak_reserved_mib": mib(torch.cuda.max_memory_reserved()),
        "of_the_driver_mib": mib(total_bytes - free_bytes),
    }
    torch.cuda.reset_peak_memory_stats()
    return found


def main() -> None:
    """Load, warm up, speak; print after each."""
    checkpoint, cache_dir, options = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    total_bytes = torch.cuda.mem_get_info()[1]
    if (limit_gib := options.pop("limit_gib", None)) is not None:
        torch.cuda.set_per_process_memory_fraction(limit_gib * 2**30 / total_bytes)
    found: dict[str, Any] = {"before": memory()}
    engine = ChatterboxEngine(checkpoint, cache_dir=cache_dir, device="cuda", **options)
    engine.preparation = LongAsInABook
    started_s = time.monotonic()
    engine.load()
    found["loaded"] = memory()
    engine.warm_up()
    found["warm"] = {**memory(), "seconds": round(time.monotonic() - started_s, 1)}
    (speaker,) = engine._speakers.values()
    found["fit"] = {"num_slots": speaker.capacity.num_slots, "max_render_frames": speaker.capacity.max_frames}
    text = "It is a truth universally acknowledged, that a single man must be in want of a wife. " * 3
    wanted = [segment(text[:250], seed=number) for number in range(NUM_SEGMENTS)]
    started_s = time.monotonic()
    takes = [future.result(DEADLINE_S) for future in [engine.submit(request) for request in wanted]]
    found["speaking"] = {**memory(), "seconds": round(time.monotonic() - started_s, 2)}
    found["audio_s"] = [round(len(take.pcm) / take.sample_rate_hz, 2) for take in takes]
    stats = torch.cuda.memory_stats()
    found["num_ooms"], found["num_alloc_retries"] = stats["num_ooms"], stats["num_alloc_retries"]
    torch.cuda.empty_cache()
    found["at rest"] = memory()
    engine.close(10.0)
    print("FOUND " + json.dumps(found), flush=True)  # noqa: T201 - what this is for


if __name__ == "__main__":
    main()
