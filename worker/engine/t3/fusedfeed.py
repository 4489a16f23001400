"""The beginning of a decode step as one Triton kernel: what each lane reads, and at which position.

Eight small operations otherwise. Knows nothing of layers.
"""

from __future__ import annotations

import torch  # noqa: TID253 - imported with the engine that needs it
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.t3.slotstate import SlotState


def feed(
    rows: torch.Tensor, state: SlotState, embedding: torch.Tensor, position_embedding: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Embed the last token of each lane's slot.

    Args:
        rows: [L] int64, CUDA.
        state: of the slots.
        embedding: [V, C] of the speech tokens.
        position_embedding: [P, C], by the number of the token.

    Returns:
        [L, C]; the positions [L] int64 of the lanes in their rows.
    """
    hidden = embedding.new_empty(rows.shape[0], embedding.shape[1])
    positions = torch.empty_like(rows)
    _feed[(rows.shape[0],)](
        rows,
        state.leader,
        state.last_token,
        state.num_tokens,
        state.length,
        embedding,
        position_embedding,
        hidden,
        positions,
        num_channels=embedding.shape[1],
        block=triton.next_power_of_2(embedding.shape[1]),
        num_warps=4,
    )
    return hidden, positions


@triton.jit  # type: ignore[untyped-decorator]
def _feed(
    rows_ptr: tl.tensor,
    leaders_ptr: tl.tensor,
    last_tokens_ptr: tl.tensor,
    num_tokens_ptr: tl.tensor,
    lengths_ptr: tl.tensor,
    embedding_ptr: tl.tensor,
    position_embedding_ptr: tl.tensor,
    hidden_ptr: tl.tensor,
    positions_ptr: tl.tensor,
    num_channels: tl.constexpr,
    block: tl.constexpr,
) -> None:
    lane = tl.program_id(0)
    # Both rows of a slot are fed the token that their leader drew.
    leader = tl.load(leaders_ptr + tl.load(rows_ptr + lane))
    token, number = tl.load(last_tokens_ptr + leader), tl.load(num_tokens_ptr + leader)
    channel = tl.arange(0, block)
    is_inside = channel < num_channels
    word = tl.load(embedding_ptr + token * num_channels + channel, mask=is_inside)
    place = tl.load(position_embedding_ptr + number * num_channels + channel, mask=is_inside)
    total = (word.to(tl.float32) + place.to(tl.float32)).to(hidden_ptr.dtype.element_ty)
    tl.store(hidden_ptr + lane * num_channels + channel, total, mask=is_inside)
    tl.store(positions_ptr + lane, tl.load(lengths_ptr + leader))
