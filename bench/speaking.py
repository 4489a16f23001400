"""The batching engine as a benchmark runs it: real decoder, renderer and loop; segments whose length is given.

Random weights never end a speech by themselves, so here, and nowhere else, each segment brings its length.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

import torch  # noqa: TID253 - a benchmark of models

from bench.book_lengths import read_lengths
from bench.gpuwatch import GpuWatch
from bench.peers import Script, make_scripts, make_voice
from producer.contract.narration import ModelName, Parameters
from worker.engine.batching.loop import BatchingLoop
from worker.engine.batching.settling import Sound
from worker.engine.request import SegmentRequest
from worker.engine.s3gen.speech import Speech
from worker.engine.t3.prompt import Prompt
from worker.models import ChatterboxTTS
from worker.models.generation import NUM_SOUNDS
from worker.models.sampling import Sampling

SAMPLE_RATE_HZ: Final = 24_000
#: Voice, text and speech of the longest segment of the book, with room to spare.
MAX_POSITIONS: Final = 832


def requests_of(num_segments: int) -> list[SegmentRequest]:
    """Return requests whose text is the number of a segment; seeds differ, so that none is the same work twice."""
    return [_request(index) for index in range(num_segments)]


def _request(index: int) -> SegmentRequest:
    return SegmentRequest(str(index), "en", ModelName.ENGLISH, None, Parameters(), seed=index)


@dataclass(frozen=True, slots=True)
class GivenScript:
    """A segment of the benchmark, as the loop wants it (`worker.engine.batching.ports.Script`)."""

    script: Script
    voice: Any
    text_tokens: torch.Tensor

    def prompt(self, seed: int) -> Prompt:
        """Return what T3 is asked to speak, with its length."""
        num_tokens = self.script.num_speech_tokens
        return Prompt(self.text_tokens, self.voice.t3, 0.5, Sampling(), seed, num_tokens + 1, num_tokens)

    def speech(self, tokens: torch.Tensor, seed: int) -> Speech:
        """Return what S3Gen renders; noise speaks tokens without a sound, which the real model does not."""
        return Speech(tokens % NUM_SOUNDS, self.voice.gen, seed)


class GivenScripts:
    """Stands where texts are tokenized: takes the number of a segment for its text."""

    def __init__(self, scripts: list[Script], voices: list[Any], hp: Any) -> None:
        self._scripts = scripts
        self._voices = voices
        self._ends = hp.start_text_token, hp.stop_text_token

    def prepare(self, request: SegmentRequest) -> GivenScript:
        """Return the script of a request."""
        script = self._scripts[int(request.text) % len(self._scripts)]
        start, stop = (torch.tensor([end]) for end in self._ends)
        return GivenScript(script, self._voices[script.voice], torch.cat([start, script.text_tokens, stop]))


@dataclass(slots=True)
class OpenedLoop:
    """A loop that is warm."""

    loop: BatchingLoop
    scripts: list[Script]
    settings: dict[str, Any]
    watch: Callable[[], AbstractContextManager[Any]]

    def speak_alone(self, *, num_speech_tokens: int) -> dict[str, float]:
        """Return how long one segment of so many tokens takes while nothing else is spoken: the median of five."""
        index = min(
            range(len(self.scripts)), key=lambda number: abs(self.scripts[number].num_speech_tokens - num_speech_tokens)
        )
        seconds = []
        for _ in range(6):
            started_s = time.perf_counter()
            take = self.loop.submit(_request(index)).result()
            seconds.append(time.perf_counter() - started_s)
        return {
            "alone_audio_s": round(len(take.pcm) / take.sample_rate_hz, 2),
            "alone_first_s": round(seconds[0], 3),
            "alone_s": round(statistics.median(seconds[1:]), 3),
        }


def open_loop(options: argparse.Namespace, precision: str, *, num_voices: int) -> OpenedLoop:
    """Load the English model in a precision and warm an engine of the wished size."""
    from worker.engine.s3gen.renderer import Renderer
    from worker.engine.t3.decoder import Decoder
    from worker.engine.torchdevice import TorchDevice

    model = ChatterboxTTS.load(options.checkpoint, options.device, precision=precision)  # type: ignore[arg-type]
    voices = [make_voice(seed, options.device) for seed in range(1, num_voices + 1)]
    scripts = make_scripts(read_lengths(), num_voices=num_voices)
    decoder = Decoder(
        model.t3, precision=precision, num_slots=options.slots, max_positions=MAX_POSITIONS, device=options.device
    )
    flow_precision = "fp32" if precision == "fp32" else "bf16"
    limits = {} if options.render_frames is None else {"max_frames_per_batch": options.render_frames}
    renderer = Renderer(model.s3gen, model.watermarker, device=options.device, precision=flow_precision, **limits)
    decoder.warm_up()
    renderer.warm_up()
    loop = BatchingLoop(
        preparation=GivenScripts(scripts, voices, model.t3.hp),
        decoder=decoder,
        renderer=renderer,
        device=TorchDevice(options.device),
        sound=Sound(SAMPLE_RATE_HZ, is_watermarked=True),
    )
    loop.start()
    settings = {
        "slots": decoder.num_slots,
        "max_frames_per_batch": renderer.max_frames_per_batch,
        "s3gen_precision": flow_precision,
    }
    watch: Callable[[], AbstractContextManager[Any]] = GpuWatch if options.device == "cuda" else _NoWatch
    return OpenedLoop(loop, scripts, settings, watch)


class _NoWatch(contextlib.nullcontext[Any]):
    """On a CPU there is nothing to look at."""

    def __enter__(self) -> Any:
        return self

    def summary(self) -> dict[str, Any]:
        return {}
