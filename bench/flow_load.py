"""What the benchmark of the flow works on: full-size random weights, speeches, and the time that is left."""

from __future__ import annotations

import itertools
import json
import statistics
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import torch  # noqa: TID253

from worker.engine.s3gen.batch import Packing, packed_frames
from worker.engine.s3gen.speech import Speech

SPEECH_S = (15.6, 8.0, 22.0, 4.0, 25.0, 13.0, 18.0, 19.2)
PROMPT_TOKENS = 250
TOKENS_PER_S = 25
DEVICE = torch.device("cuda")


class Run:
    """The figures, and the time that is left to take them."""

    def __init__(self, seconds: float) -> None:
        self.started_s = time.monotonic()
        self.seconds = seconds
        self.figures: dict[str, Any] = {}

    def part(self, name: str, measure: Callable[[], Any], *, needs_s: float = 5.0) -> None:
        """Take one figure; a failure costs this one only."""
        if self.elapsed_s() + needs_s > self.seconds:
            self.figures[name] = "skipped: no time left"
        else:
            try:
                self.figures[name] = measure()
            except Exception as exc:  # noqa: BLE001 - the other parts are wanted all the same
                traceback.print_exc(limit=4)
                self.figures[name] = f"failed: {type(exc).__name__}: {exc}"[:400]
                torch.cuda.synchronize()
        print(f"[{self.elapsed_s():6.1f} s] {name}: {json.dumps(self.figures[name])}", flush=True)

    def elapsed_s(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.started_s


def timed_ms(call: Callable[[], Any], *, num_calls: int = 5) -> float:
    """Return the median milliseconds of a call on the device."""
    call()
    samples = []
    for _ in range(num_calls):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        samples.append(start.elapsed_time(end))
    return round(statistics.median(samples), 3)


def make_voice() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    return {
        "prompt_token": torch.randint(0, 6561, (1, PROMPT_TOKENS), generator=generator).to(DEVICE),
        "prompt_token_len": torch.tensor([PROMPT_TOKENS], device=DEVICE),
        "prompt_feat": (torch.randn(1, 2 * PROMPT_TOKENS, 80, generator=generator) - 5).to(DEVICE),
        "prompt_feat_len": None,
        "embedding": torch.randn(1, 192, generator=generator).to(DEVICE),
    }


def speeches_for(frames: int) -> list[Speech]:
    """Return as many speeches as these packed frames hold."""
    voice, chosen = make_voice(), []
    generator = torch.Generator().manual_seed(2)
    for seed, seconds in enumerate(itertools.cycle(SPEECH_S)):
        tokens = torch.randint(0, 6561, (round(seconds * TOKENS_PER_S),), generator=generator)
        speech = Speech(tokens, voice, seed)
        if packed_frames([each.num_frames for each in [*chosen, speech]]) > frames:
            return chosen
        chosen.append(speech)
    raise AssertionError


def audio_s(speeches: list[Speech]) -> float:
    return sum(speech.tokens.numel() for speech in speeches) / TOKENS_PER_S


def packing_for(frames: int) -> Packing:
    return Packing(tuple(speech.num_frames for speech in speeches_for(frames)), frames)


def load_s3gen() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from chatterbox.models.s3gen import S3Gen

        torch.manual_seed(0)
        return S3Gen().eval().to(DEVICE)
