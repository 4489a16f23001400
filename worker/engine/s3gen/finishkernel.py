"""The one kernel that stands between two convolutions on CUDA; `finish.py` says what it computes.

Knows nothing of layers. It is bound by memory: each number is read once and written once or twice, where plain torch
would go over it eleven times for the activation alone.
"""

# ruff: noqa: N803 - what the kernel is compiled for is in capitals

from __future__ import annotations

from typing import Any, Final

import torch  # noqa: TID253 - imported on CUDA only
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.s3gen.finish import Finish, Leaky, Snake

#: Numbers that one program works on: 16 bytes for each of 128 threads in bf16, twice.
_BLOCK: Final = 2_048
_NOTHING: Final = tl.constexpr(0)
_SNAKE: Final = tl.constexpr(1)
_LEAKY: Final = tl.constexpr(2)


def launch_finish(do: Finish, rows: torch.Tensor, is_inside: torch.Tensor, *addends: torch.Tensor) -> tuple[Any, Any]:
    """Launch the kernel: see `finish.finish`.

    Args:
        do: bias, scale and activation.
        rows: [P, C] on CUDA, contiguous; C is a power of two.
        is_inside: [P] bool.
        addends: at most two [P, C], contiguous, in the precision of the rows.
    """
    num_positions, num_channels = rows.shape
    assert len(addends) <= 2
    assert _BLOCK % num_channels == 0
    assert all(each.is_contiguous() and each.shape == rows.shape for each in (rows, *addends))
    total = torch.empty_like(rows) if do.keeps_sum else None
    activated = None if do.activation is None else torch.empty_like(rows)
    kind, alpha, inverse, slope = _unpack(do.activation, do.bias)
    first, second = (*addends, rows, rows)[:2]
    _finish[(triton.cdiv(num_positions, _BLOCK // num_channels),)](
        rows,
        is_inside,
        do.bias,
        first,
        second,
        alpha,
        inverse,
        rows if total is None else total,
        rows if activated is None else activated,
        num_positions,
        do.scale,
        slope,
        CHANNELS=num_channels,
        POSITIONS=_BLOCK // num_channels,
        NUM_ADDENDS=len(addends),
        KEEPS_SUM=do.keeps_sum,
        ACTIVATION=kind,
        IS_TF32=do.is_tf32,
        num_warps=4,
    )
    return total, activated


def _unpack(activation: Snake | Leaky | None, unused: torch.Tensor) -> tuple[int, Any, Any, float]:
    """Return for a kernel the kind of activation and its numbers, `unused` where it has none."""
    match activation:
        case Snake(alpha, inverse):
            return _SNAKE.value, alpha, inverse, 0.0
        case Leaky(slope):
            return _LEAKY.value, unused, unused, slope
        case None:
            return _NOTHING.value, unused, unused, 0.0


@triton.jit
def _squared_sine(angle):  # type: ignore[no-untyped-def]
    """Return sin(angle)**2 to 1e-7 for angles up to 25,000.

    The library's sine has a second path for large angles, which costs registers and branches. The square repeats itself
    after half a turn, so the angle is brought between -pi/2 and pi/2 (pi in three parts, the first two short enough
    that their multiples are exact), and there five terms do; fitted for the smallest largest error, 5e-9.
    """
    half_turns = tl.floor(angle * 0.3183098861837907 + 0.5)
    rest = ((angle - half_turns * 3.140625) - half_turns * 9.67502593994140625e-4) - half_turns * 1.5099579909783764e-7
    square = rest * rest
    series = -1.9806615100353715e-4 + square * 2.6000545454747925e-6
    series = -0.16666657096446294 + square * (8.333017290153002e-3 + square * series)
    sine = rest + rest * square * series
    return sine * sine


@triton.jit(do_not_specialize=["num_positions"])  # type: ignore[untyped-decorator]
def _finish(  # type: ignore[no-untyped-def]
    rows,
    is_inside,
    bias,
    first,
    second,
    alpha,
    inverse,
    total_out,
    activated_out,
    num_positions,
    scale,
    slope,
    CHANNELS: tl.constexpr,
    POSITIONS: tl.constexpr,
    NUM_ADDENDS: tl.constexpr,
    KEEPS_SUM: tl.constexpr,
    ACTIVATION: tl.constexpr,
    IS_TF32: tl.constexpr,
):
    """Finish POSITIONS positions of all channels."""
    position = tl.program_id(0) * POSITIONS + tl.arange(0, POSITIONS)
    channel = tl.arange(0, CHANNELS)
    is_there = (position < num_positions)[:, None]
    # A row of 8,192 frames has 63 million numbers in its finest layer; longer ones would overflow 32 bits.
    at = position.to(tl.int64)[:, None] * CHANNELS + channel[None, :]
    total = tl.load(rows + at, mask=is_there, other=0.0).to(tl.float32)
    is_kept = tl.load(is_inside + position, mask=position < num_positions, other=0) != 0
    total += tl.load(bias + channel)[None, :]
    if NUM_ADDENDS > 0:
        total += tl.load(first + at, mask=is_there, other=0.0).to(tl.float32)
    if NUM_ADDENDS > 1:
        total += tl.load(second + at, mask=is_there, other=0.0).to(tl.float32)
    # Selected, not multiplied: what is in a gap may be no number.
    total = tl.where(is_kept[:, None], total * scale, 0.0)
    if KEEPS_SUM:
        tl.store(total_out + at, total.to(total_out.dtype.element_ty), mask=is_there)
    if ACTIVATION == _SNAKE:
        total += tl.load(inverse + channel)[None, :] * _squared_sine(total * tl.load(alpha + channel)[None, :])
    if ACTIVATION == _LEAKY:
        total = tl.where(total > 0, total, total * slope)
    if IS_TF32:
        # Not what is no number: its bits would become those of a zero.
        rounded = ((total.to(tl.int32, bitcast=True) + 0x1000) & -0x2000).to(tl.float32, bitcast=True)
        total = tl.where(total == total, rounded, total)
    if ACTIVATION != _NOTHING:
        tl.store(activated_out + at, total.to(activated_out.dtype.element_ty), mask=is_there)
