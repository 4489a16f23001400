"""A convolution and what follows it, in one kernel on CUDA: nothing between the two goes through memory.

Knows nothing of layers; `step.py` says when it is used. A program makes a tile of positions with all their channels. It
multiplies, tap by tap, the rows that the tap sees with the tap's weights on tensor cores, sums in float32, and finishes
the tile where it is, in registers.
"""

# ruff: noqa: N803 - what the kernel is compiled for is in capitals

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch  # noqa: TID253 - imported on CUDA only
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.s3gen.finishkernel import finish_tile, unpack

if TYPE_CHECKING:
    from worker.engine.s3gen.convolution import Convolution
    from worker.engine.s3gen.finish import Finish

#: By channels: positions of a tile, warps that share it, and loads in flight ahead of their use.
TILES: Final = {64: (128, 4, 4), 128: (128, 8, 3), 256: (128, 8, 3)}
#: Bytes of a row that are multiplied at once: what a row of a shared-memory tile for the tensor cores holds.
_DEPTH_BYTES: Final = 128


def launch_step(
    convolution: Convolution, do: Finish, rows: torch.Tensor, is_inside: torch.Tensor, *addends: torch.Tensor
) -> tuple[Any, Any]:
    """Launch the kernel: `finish(do, convolve(convolution, rows), is_inside, *addends)`, sums not rounded between.

    Args:
        convolution: with `by_tap`; as many channels come out as go in.
        do: see `finish.finish`.
        rows: [P, C] on CUDA, contiguous.
        is_inside: [P] bool.
        addends: at most two [P, C], contiguous, in the precision of the rows.
    """
    num_positions, num_channels = rows.shape
    weight = convolution.by_tap
    assert weight is not None
    assert len(addends) <= 2
    assert all(each.is_contiguous() and each.shape == rows.shape for each in (rows, *addends))
    total = torch.empty_like(rows) if do.keeps_sum else None
    activated = None if do.activation is None else torch.empty_like(rows)
    kind, alpha, inverse, slope = unpack(do.activation, do.bias)
    first, second = (*addends, rows, rows)[:2]
    num_tile_positions, num_warps, num_stages = TILES[num_channels]
    _step[(triton.cdiv(num_positions, num_tile_positions),)](
        rows,
        weight,
        is_inside,
        do.bias,
        first,
        second,
        alpha,
        inverse,
        rows if total is None else total,
        rows if activated is None else activated,
        num_positions,
        weight.shape[0],
        convolution.dilation,
        do.scale,
        slope,
        CHANNELS=num_channels,
        POSITIONS=num_tile_positions,
        DEPTH=min(num_channels, _DEPTH_BYTES // rows.element_size()),
        PRECISION="tf32" if rows.dtype == torch.float32 else "ieee",
        NUM_ADDENDS=len(addends),
        KEEPS_SUM=do.keeps_sum,
        ACTIVATION=kind,
        IS_TF32=do.is_tf32,
        num_warps=num_warps,
        num_stages=num_stages,
    )
    return total, activated


# Compiled once for all lengths of row, taps and dilations: each kernel takes about a second to compile.
@triton.jit(do_not_specialize=["num_positions", "taps", "dilation"])  # type: ignore[untyped-decorator]
def _step(  # type: ignore[no-untyped-def]
    rows,
    weight,
    is_inside,
    bias,
    first,
    second,
    alpha,
    inverse,
    total_out,
    activated_out,
    num_positions,
    taps,
    dilation,
    scale,
    slope,
    CHANNELS: tl.constexpr,
    POSITIONS: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
    NUM_ADDENDS: tl.constexpr,
    KEEPS_SUM: tl.constexpr,
    ACTIVATION: tl.constexpr,
    IS_TF32: tl.constexpr,
):
    """Make POSITIONS positions of all channels."""
    position = tl.program_id(0) * POSITIONS + tl.arange(0, POSITIONS)
    channel = tl.arange(0, CHANNELS)
    depth = tl.arange(0, DEPTH)
    pieces: tl.constexpr = CHANNELS // DEPTH
    total = tl.zeros([POSITIONS, CHANNELS], tl.float32)
    for number in tl.range(0, taps * pieces):
        tap = number // pieces
        at_depth = (number % pieces) * DEPTH + depth
        seen = position + (tap - taps // 2) * dilation
        is_seen = (seen >= 0) & (seen < num_positions)
        # 32 bits hold the largest index up to 17 minutes on a row.
        left = tl.load(rows + seen[:, None] * CHANNELS + at_depth[None, :], mask=is_seen[:, None], other=0.0)
        # [C_out, C_in]: the tensor cores take TF32 only where the summed dimension is contiguous.
        right = tl.load(weight + (tap * CHANNELS + channel)[:, None] * CHANNELS + at_depth[None, :])
        total = tl.dot(left, tl.trans(right), total, input_precision=PRECISION)
    is_there = (position < num_positions)[:, None]
    at = position[:, None] * CHANNELS + channel[None, :]
    is_kept = tl.load(is_inside + position, mask=position < num_positions, other=0) != 0
    finish_tile(
        total,
        at,
        is_there,
        is_kept,
        tl.load(bias + channel),
        first,
        second,
        tl.load(alpha + channel),
        tl.load(inverse + channel),
        total_out,
        activated_out,
        scale,
        slope,
        NUM_ADDENDS,
        KEEPS_SUM,
        ACTIVATION,
        IS_TF32,
    )
