"""Which stage of the renderer keeps memory of the host: `python -m bench.renderer_memory [--calls 150]`.

Calls each stage again and again, every time with a batch of a new shape, as short segments give them, and prints how
much more malloc has given and not got back for each call, in the second and in the last third of the calls. Random
weights of full size. The encoder comes a second time with cuDNN's attention, which torch would choose on Hopper.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
from collections.abc import Callable
from typing import Any, Final
from unittest import mock

import perth  # noqa: TID253 - a benchmark of models
import torch  # noqa: TID253 - the same
from torch.nn.attention import SDPBackend  # noqa: TID253 - the same

from bench.flow_load import DEVICE, load_s3gen, make_voice
from bench.hostmemory import host_memory
from bench.record import write_result
from worker.engine.s3gen import encoder
from worker.engine.s3gen.flow import NUM_MELS
from worker.engine.s3gen.renderer import Renderer
from worker.engine.s3gen.speech import FRAMES_PER_TOKEN, Speech

SEED: Final = 1
SPEECHES: Final = (4, 20)
TOKENS: Final = (27, 80)


class Stages:
    """The renderer's stages, each of which can be called with something made up."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._rng = random.Random(SEED)
        self._voice = make_voice()

    def _lengths(self) -> list[int]:
        return [self._rng.randint(*TOKENS) for _ in range(self._rng.randint(*SPEECHES))]

    def _speeches(self) -> list[Speech]:
        return [
            Speech(
                torch.randint(0, self._renderer._flow._vocabulary, (length,)), self._voice, self._rng.randrange(2**31)
            )
            for length in self._lengths()
        ]

    def encode(self) -> None:
        """Speech tokens to encodings."""
        self._renderer._flow._encode(self._speeches())

    def solve(self) -> None:
        """Encodings, all zero, to mel frames."""
        flow, speeches = self._renderer._flow, self._speeches()
        encodings = [torch.zeros(speech.num_frames, NUM_MELS, device=DEVICE) for speech in speeches]
        with mock.patch.object(flow, "_encode", return_value=encodings):
            flow.mels(speeches)

    def vocode(self) -> None:
        """Mel frames to samples."""
        lengths = self._lengths()
        mels = [torch.randn(NUM_MELS, FRAMES_PER_TOKEN * length, device=DEVICE) - 5 for length in lengths]
        self._renderer._hift.samples(mels, [SEED] * len(mels))

    def mark(self) -> None:
        """Samples to samples with a watermark."""
        num_samples = self._renderer._hift.num_samples
        lengths = [num_samples * FRAMES_PER_TOKEN * length for length in self._lengths()]
        self._renderer._watermark.apply([0.05 * torch.randn(length, device=DEVICE) for length in lengths])


def asked_for() -> float:
    """Return the MiB that malloc has given and not got back; ends the benchmark where nobody says."""
    mib = host_memory()["host_asked_for_mib"]
    if mib is None:
        sys.exit("what malloc was asked for is only known with glibc 2.33 or newer")
    return mib


def kept(name: str, call: Callable[[], None], num_calls: int) -> dict[str, Any]:
    """Return what a stage keeps, and print it."""
    asked_for_mib: list[float] = []
    for number in range(num_calls + 1):
        if number in (num_calls // 3, 2 * num_calls // 3, num_calls):
            gc.collect()
            asked_for_mib.append(asked_for())
        if number < num_calls:
            call()
    first, second, last = asked_for_mib
    per_call = [round((end - begin) * 1024 / (num_calls // 3), 1) for begin, end in ((first, second), (second, last))]
    found = {"stage": name, "num_calls": num_calls, "kept_kib_per_call": per_call}
    print(json.dumps(found), flush=True)
    return found


def all_kept(stages: Stages, num_calls: int) -> list[dict[str, Any]]:
    """Return what each stage keeps."""
    calls = {"encoder": stages.encode, "solver": stages.solve, "vocoder": stages.vocode, "watermark": stages.mark}
    found = [kept(name, call, num_calls) for name, call in calls.items()]
    with mock.patch.object(encoder, "_ATTENTIONS", [SDPBackend.CUDNN_ATTENTION, *encoder._ATTENTIONS]):
        found.append(kept("encoder, with cuDNN's attention", stages.encode, num_calls))
    return found


def main() -> None:
    """Call, print and record."""
    options = _options()
    torch.manual_seed(SEED)
    renderer = Renderer(load_s3gen(), perth.PerthImplicitWatermarker(), device=DEVICE, precision="bf16")
    with torch.cuda.stream(torch.cuda.Stream()):
        renderer.warm_up()
        with torch.inference_mode(), renderer._turnstile:
            found = all_kept(Stages(renderer), options.calls)
    result = {
        "command": "python -m bench.renderer_memory " + " ".join(sys.argv[1:]),
        "gpu": torch.cuda.get_device_name(),
        "settings": {"weights": "random, full size", "speeches": SPEECHES, "tokens": TOKENS},
        "stages": found,
    }
    print(write_result(options.name, result), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Which stage of the renderer keeps memory of the host.")
    parser.add_argument("--calls", type=int, default=150)
    parser.add_argument("--name", default="renderer_memory")
    return parser.parse_args()


if __name__ == "__main__":
    main()
