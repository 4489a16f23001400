"""The engine as a benchmark runs it: the worker's own, but for the segments, whose tokens, voice and length are given.

Random weights never end a speech by themselves, so here, and nowhere else, each segment brings its length.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch  # noqa: TID253 - a benchmark of models

from bench.book_lengths import read_lengths
from bench.peers import Script, make_scripts, make_voice
from producer.contract.narration import ModelName, Parameters
from worker.engine.chatterbox import ChatterboxEngine
from worker.engine.preparation import ChatterboxPreparation, ChatterboxScript
from worker.engine.request import SegmentRequest
from worker.engine.s3gen.speech import Speech
from worker.models.generation import NUM_SOUNDS
from worker.models.sampling import Sampling

NUM_VOICES: Final = 2
#: Of the one segment that the engine speaks before it is ready.
WARM_UP_TOKENS: Final = 50


def requests_of(num_segments: int) -> list[SegmentRequest]:
    """Return requests whose text is the number of a segment; seeds differ, so that none is the same work twice."""
    return [_request(index) for index in range(num_segments)]


def _request(index: int) -> SegmentRequest:
    return SegmentRequest(str(index), "en", ModelName.ENGLISH, None, Parameters(), seed=index)


class NoiseScript(ChatterboxScript):
    """A script for random weights, which also speak tokens without a sound."""

    def speech(self, tokens: torch.Tensor, seed: int) -> Speech:
        """Return what S3Gen makes audible, as long as it was asked for."""
        return Speech(tokens % NUM_SOUNDS, self.voice.gen, seed)


class BookPreparation(ChatterboxPreparation):
    """Takes the number of a segment for its text, and gives it a length from the book."""

    def __init__(self, model: Any, **options: Any) -> None:
        super().__init__(model, **options)
        self._scripts = book_scripts()
        self._voices_of_noise = [make_voice(seed, str(model.device)) for seed in range(1, NUM_VOICES + 1)]

    def prepare(self, request: SegmentRequest) -> ChatterboxScript:
        """Return the script of a request."""
        if not request.text.isdigit():  # the engine's own, when it warms up
            return replace(super().prepare(request), num_forced_tokens=WARM_UP_TOKENS)
        script = self._scripts[int(request.text) % len(self._scripts)]
        return NoiseScript(
            text_tokens=self._model.framed(script.text_tokens.to(self._model.device)).cpu(),
            voice=self._voices_of_noise[script.voice],
            exaggeration=0.5,
            sampling=Sampling(),
            max_tokens=script.num_speech_tokens + 1,
            num_forced_tokens=script.num_speech_tokens,
        )


def book_scripts() -> list[Script]:
    """Return the segments of the book."""
    return make_scripts(read_lengths(), num_voices=NUM_VOICES)


@dataclass(frozen=True, slots=True)
class OpenedEngine:
    """An engine that is ready, and how long that took."""

    engine: ChatterboxEngine
    start: dict[str, Any]

    def speak_alone(self, *, num_speech_tokens: int) -> dict[str, float]:
        """Return how long one segment of so many tokens takes while nothing else is spoken: the median of five."""
        scripts = book_scripts()
        index = min(range(len(scripts)), key=lambda each: abs(scripts[each].num_speech_tokens - num_speech_tokens))
        seconds = []
        for _ in range(6):
            started_s = time.perf_counter()
            take = self.engine.submit(_request(index)).result()
            seconds.append(time.perf_counter() - started_s)
        return {
            "alone_audio_s": round(len(take.pcm) / take.sample_rate_hz, 2),
            "alone_first_s": round(seconds[0], 3),
            "alone_s": round(statistics.median(seconds[1:]), 3),
        }


def open_engine(options: argparse.Namespace, precision: str) -> OpenedEngine:
    """Load the English model in a precision and make an engine of the wished size ready."""
    engine = ChatterboxEngine(
        options.checkpoint,
        cache_dir=Path(tempfile.gettempdir()) / "chatterqueue-bench",
        device=options.device,
        precision=precision,  # type: ignore[arg-type]  # one of ours, by the command line
        max_slots=options.slots,
        max_render_frames=options.render_frames,
        num_threads=2,
    )
    engine.preparation = BookPreparation
    begun_s = time.perf_counter()
    engine.load()
    loaded_s = time.perf_counter()
    engine.warm_up()
    ready_s = time.perf_counter()
    start = {
        "num_slots": engine.num_slots,
        "load_s": round(loaded_s - begun_s, 1),
        "warm_up_s": round(ready_s - loaded_s, 1),
    }
    return OpenedEngine(engine, start)
