"""Runs the vocoder's Triton kernels in Triton's interpreter, which needs no GPU, and compares them with plain torch.

A script of its own, run by `test_hift_kernels.py`: Triton decides when it is imported whether it interprets.
"""

from __future__ import annotations

import itertools
import os

os.environ["TRITON_INTERPRET"] = "1"

import torch  # noqa: TID253 - see above

from worker.engine.s3gen.finish import Finish, Leaky, Snake, finish
from worker.engine.s3gen.finishkernel import launch_finish
from worker.engine.s3gen.source import (
    _PARTS_PER_CYCLE,
    NOISE_STREAM,
    SourceWeights,
    cycles_per_sample,
    excite,
    source_phases,
    turns,
)
from worker.engine.s3gen.sourcekernel import launch_source
from worker.engine.s3gen.tape import lay, resolve

CHANNELS_AND_POSITIONS = ((64, 45), (256, 9), (512, 5))


def check_finish(dtype: torch.dtype) -> None:
    """Compare every combination of addends and activation; gaps hold what is no number."""
    tolerance = 1e-5 if dtype == torch.float32 else 1e-2
    for channels, positions in CHANNELS_AND_POSITIONS:
        rows, first, second = (torch.randn(positions, channels).to(dtype) for _ in range(3))
        is_inside = torch.rand(positions) > 0.3
        rows[~is_inside] = float("nan")
        rows[is_inside.nonzero()[0], 3] = float("nan")
        alpha = torch.rand(channels) * 4 + 0.2
        activations = (None, Snake(alpha, 1 / (alpha + 1e-9)), Leaky(0.1))
        for activation, addends in itertools.product(activations, ((), (first,), (first, second))):
            keeps_sum = activation is None or len(addends) == 1
            is_tf32 = dtype == torch.float32 and len(addends) == 2
            do = Finish(torch.randn(channels), 1 / 3, keeps_sum=keeps_sum, activation=activation, is_tf32=is_tf32)
            ours, plain = (each(do, rows, is_inside, *addends) for each in (launch_finish, finish))
            for found, wanted in zip(ours, plain, strict=True):
                assert (found is None) == (wanted is None)
                if wanted is not None:
                    torch.testing.assert_close(
                        found, wanted, rtol=1e-3 if is_tf32 else tolerance, atol=tolerance, equal_nan=True
                    )


def check_source() -> None:
    """Compare the source of two utterances, one unvoiced frame, the largest seed and the gap among them."""
    unused = torch.empty(0)
    weights = SourceWeights((), unused, unused, torch.randn(1, 9) * 0.3, torch.randn(1), 480, 24_000, 0.1, 0.003, 10.0)
    starts, ends, seeds = lay([3, 2], 11, gap_frames=2).owners([7, 2**32 - 1])
    pitch_hz = torch.rand(11) * 300
    pitch_hz[1] = 3.0
    turning = cycles_per_sample(weights, pitch_hz)
    found = launch_source(
        weights,
        pitch_hz,
        turning,
        turns(weights, turning, starts),
        source_phases(seeds, 9),
        seeds,
        starts,
        stream=NOISE_STREAM,
        parts_per_cycle=_PARTS_PER_CYCLE,
    )
    wanted = excite(weights, pitch_hz, seeds, resolve(starts, ends, 1))
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-6)
    assert found.std() > 0.01


if __name__ == "__main__":
    torch.manual_seed(0)
    for each in (torch.float32, torch.bfloat16):
        check_finish(each)
    check_source()
