"""Attention of one query to a row of the KV cache, on CUDA: how it is shared out among programs.

Knows nothing of how the cache is filled, nor how a program attends. What bounds it is memory: 2 x 64 numbers are read
for each position of each head, and used once; so rounded to eight bits they take half the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import torch  # noqa: TID253 - imported with the engine that needs it
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.kernels.fused.conversion import HAS_ASSEMBLY
from worker.engine.kernels.fused.floatattention import attend_floats
from worker.engine.kernels.fused.roundedattention import attend_rounded
from worker.engine.kernels.kvlayer import KVLayer
from worker.engine.kernels.packedlinear import INT8_MAX


@dataclass(frozen=True, slots=True)
class Plan:
    """How the positions of a query are shared out.

    Attributes:
        num_splits: programs that share the positions of one query.
        block: positions that a program takes at once.
        num_warps: of 32 threads.
        num_stages: blocks in flight.
    """

    num_splits: int
    block: int = 32
    num_warps: int = 2
    num_stages: int = 2


#: Up to so many queries (entries times heads): the plan. Measured on an H200 at 400 positions, where the last two move
#: 3.5 to 4.3 TB/s. A few more splits than is fastest for equal lengths, so that the longest is not waited for.
PLANS: Final = {64: Plan(16), 512: Plan(4), 2048: Plan(1), 2**31: Plan(1, num_warps=4, num_stages=3)}
#: The same for eight bits. Measured for many queries (`bench/results/kernels_attention.json`): 64 us where the plan for
#: sixteen bits takes 72. For fewer it takes twice the positions, which are as many bytes.
ROUNDED_PLANS: Final = {
    64: Plan(16),
    512: Plan(4, block=64),
    2048: Plan(1, block=64),
    2**31: Plan(1, block=32, num_warps=2),
}


def plan_for(num_queries: int, max_positions: int, *, is_rounded: bool = False) -> Plan:
    """Return how to attend from so many queries to at most so many positions."""
    plans = ROUNDED_PLANS if is_rounded else PLANS
    plan = next(plan for most, plan in plans.items() if num_queries <= most)
    # A split of less than a block would have nothing to do.
    useful: int = triton.next_power_of_2(triton.cdiv(max_positions, plan.block))
    return replace(plan, num_splits=min(plan.num_splits, useful))


def decode_attention(
    q: torch.Tensor, layer: KVLayer, rows: torch.Tensor, lengths: torch.Tensor, plan: Plan | None = None
) -> torch.Tensor:
    """See `worker.engine.kernels.operations`.

    With few entries the positions are split among programs, and the parts joined in a fixed order (flash-decoding:
    Dao et al. 2023, crfm.stanford.edu/2023/10/12/flashdecoding.html). The number of splits follows from the shapes
    alone, so that it can be captured; their width follows from each length.
    """
    num_entries, num_heads, head_size = q.shape
    num_queries = num_entries * num_heads
    is_rounded = layer.absmax is not None
    plan = plan or plan_for(num_queries, layer.keys.shape[2], is_rounded=is_rounded)
    out = torch.empty_like(q)
    parts = sums = None
    if plan.num_splits > 1:
        parts = q.new_empty(num_queries, plan.num_splits, head_size, dtype=torch.float32)
        sums = q.new_empty(num_queries, plan.num_splits, 2, dtype=torch.float32)
    shared = {
        "num_heads": num_heads,
        "head_size": head_size,
        "block_d": triton.next_power_of_2(head_size),
    }
    share = {
        "num_splits": plan.num_splits,
        "block": plan.block,
        "blocks_in_flight": plan.num_stages,
        "num_warps": plan.num_warps,
        **shared,
    }
    grid, scale = (num_heads, num_entries, plan.num_splits), 1.0 / math.sqrt(head_size)
    if layer.absmax is None:
        strides = layer.keys.stride()[:3]
        attend_floats[grid](q, layer.keys, layer.values, rows, lengths, out, parts, sums, *strides, scale, **share)
    else:
        # Four numbers of a key as one, and both scales of a position.
        keys, scales = layer.keys.view(torch.int32), layer.absmax.view(torch.int32)
        attend_rounded[grid](
            q,
            keys,
            layer.values,
            scales,
            rows,
            lengths,
            out,
            parts,
            sums,
            *keys.stride()[:3],
            *scales.stride()[:3],
            scale,
            int8_max=INT8_MAX,
            has_assembly=HAS_ASSEMBLY,
            **share,
        )
    if plan.num_splits > 1:
        _join[(num_queries,)](parts, sums, out, num_splits=plan.num_splits, **shared, num_warps=1)
    return out


@triton.jit  # type: ignore[untyped-decorator]
def _join(
    parts_ptr: tl.tensor,
    sums_ptr: tl.tensor,
    out_ptr: tl.tensor,
    num_splits: tl.constexpr,
    num_heads: tl.constexpr,
    head_size: tl.constexpr,
    block_d: tl.constexpr,
) -> None:
    query = tl.program_id(0)
    channel = tl.arange(0, block_d)
    split = tl.arange(0, num_splits)
    part = query * num_splits + split
    top = tl.load(sums_ptr + part * 2)
    share = tl.exp(top - tl.max(top, axis=0))
    total = tl.sum(tl.load(sums_ptr + part * 2 + 1) * share, axis=0)
    at = part[:, None] * head_size + channel[None, :]
    mixed = tl.load(parts_ptr + at, mask=(channel < head_size)[None, :], other=0.0)
    out = tl.sum(mixed * share[:, None], axis=0) / total
    tl.store(out_ptr + query * head_size + channel, out.to(out_ptr.dtype.element_ty), mask=channel < head_size)
