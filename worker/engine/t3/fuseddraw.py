"""The end of a decode step as one Triton kernel: logits in, one token drawn and recorded for each slot.

What `step.py` and `sampling.py` do in some fifty small operations, of which each costs a launch and a trip to memory.
It needs no sum over the vocabulary: neither the likeliest token nor the winner of the race depends on it. Knows
nothing of top_p, which needs a sort.
"""

from __future__ import annotations

from typing import Any, Final

import torch  # noqa: TID253 - imported with the engine that needs it
import triton
import triton.language as tl

from worker.engine.t3.slotstate import SlotState

#: Tokens that a program looks at at once; 8,194 of them take five turns.
_BLOCK: Final = 2048
_NUM_WARPS: Final = 8


def draw_and_record(
    logits: torch.Tensor,
    owners: torch.Tensor,
    partners: torch.Tensor,
    verdict: torch.Tensor | None,
    state: SlotState,
    *,
    stop_token: int,
) -> None:
    """Draw a token for each slot and write it, and what follows from it, into the state.

    Args:
        logits: [L, V] in any precision, CUDA.
        owners: [N] int64, the row of the state of the first N lanes.
        partners: [N] int64, the lane with the logits without text.
        verdict: [N] int64, see `worker.engine.t3.alignment`; None if nothing is watched.
        state: of all slots; its columns of these owners are changed.
        stop_token: ends the speech.
    """
    num_tokens = logits.shape[1]
    _draw_kernel[(owners.shape[0],)](
        logits,
        owners,
        partners,
        owners if verdict is None else verdict,
        state.temperature,
        state.cfg_weight,
        state.repetition_penalty,
        state.min_p,
        state.seed,
        state.max_tokens,
        state.num_forced,
        state.num_tokens,
        state.is_done,
        state.has_ended,
        state.is_finite,
        state.length,
        state.last_token,
        state.seen.view(torch.uint8),
        state.output,
        num_tokens,
        state.output.shape[1],
        stop_token,
        HAS_VERDICT=verdict is not None,
        BLOCK=_BLOCK,
        num_warps=_NUM_WARPS,
    )


@triton.jit  # type: ignore[untyped-decorator]
def _guided_logits(
    with_text, without_text, seen, tokens, is_token, cfg_weight, penalty, temperature, verdict, is_forced, stop_token
) -> Any:
    """Return the logits of a block after guidance, verdict, penalty and temperature, and whether one is not finite."""
    cond = tl.load(with_text + tokens, mask=is_token, other=0.0).to(tl.float32)
    uncond = tl.load(without_text + tokens, mask=is_token, other=0.0).to(tl.float32)
    value = cond + cfg_weight * (cond - uncond)
    is_stop = tokens == stop_token
    value = tl.where((verdict == 1) & is_stop, -32768.0, value)
    value = tl.where(verdict == 2, tl.where(is_stop, 32768.0, -32768.0), value)
    # Also true of a NaN, which is not below anything.
    is_broken = is_token & ~(tl.abs(value) < float("inf"))
    was_seen = tl.load(seen + tokens, mask=is_token, other=0) != 0
    value = tl.where(was_seen, tl.where(value < 0, value * penalty, value / penalty), value) / temperature
    value = tl.where(is_token & ~(is_forced & is_stop), value, float("-inf"))
    return value, is_broken


@triton.jit  # type: ignore[untyped-decorator]
def _exponential(seed, step, first_counter, BLOCK: tl.constexpr) -> Any:  # noqa: N803
    """Return the noise of a block; see `worker.engine.t3.noise`."""
    counters = (first_counter + tl.arange(0, BLOCK // 4)).to(tl.uint32)
    nothing = tl.zeros_like(counters)
    first, second, third, fourth = tl.philox(seed, counters, nothing + step.to(tl.uint32), nothing, nothing)
    # The inner pairs become the slower index: together the order is first, second, third, fourth.
    words = tl.join(tl.join(first, third), tl.join(second, fourth)).reshape(BLOCK)
    uniform = ((words >> 9).to(tl.float32) + 0.5) * (1.0 / 8388608.0)
    return -tl.log(uniform)


@triton.jit  # type: ignore[untyped-decorator]
def _draw_kernel(
    logits, owners, partners, verdicts,
    temperatures, cfg_weights, penalties, min_ps, seeds, max_tokens, num_forced,
    num_tokens, is_done, has_ended, is_finite, lengths, last_tokens, seen, output,
    vocabulary, output_stride, stop_token,
    HAS_VERDICT: tl.constexpr, BLOCK: tl.constexpr,  # noqa: N803
) -> None:  # fmt: skip
    lane = tl.program_id(0).to(tl.int64)
    owner = tl.load(owners + lane)
    with_text = logits + lane * vocabulary
    without_text = logits + tl.load(partners + lane) * vocabulary
    own_seen = seen + owner * vocabulary
    temperature, cfg_weight = tl.load(temperatures + owner), tl.load(cfg_weights + owner)
    penalty, min_p = tl.load(penalties + owner), tl.load(min_ps + owner)
    seed, step, forced = tl.load(seeds + owner), tl.load(num_tokens + owner), tl.load(num_forced + owner)
    verdict = 0
    if HAS_VERDICT:
        verdict = tl.load(verdicts + lane).to(tl.int32)
    is_forced = forced >= 0
    offsets = tl.arange(0, BLOCK)

    largest = tl.full([BLOCK], float("-inf"), tl.float32)
    broken = tl.zeros([BLOCK], tl.int32)
    for start in range(0, vocabulary, BLOCK):
        tokens = start + offsets
        value, is_broken = _guided_logits(
            with_text, without_text, own_seen, tokens, tokens < vocabulary, cfg_weight, penalty, temperature, verdict,
            is_forced, stop_token,
        )  # fmt: skip
        largest = tl.maximum(largest, value)
        broken |= is_broken.to(tl.int32)
    maximum = tl.max(largest, axis=0)
    finite = tl.max(broken, axis=0) == 0

    best = tl.full([BLOCK], -1.0, tl.float32)
    winner = tl.zeros([BLOCK], tl.int32)
    for start in range(0, vocabulary, BLOCK):
        tokens = start + offsets
        value, _ = _guided_logits(
            with_text, without_text, own_seen, tokens, tokens < vocabulary, cfg_weight, penalty, temperature, verdict,
            is_forced, stop_token,
        )  # fmt: skip
        likelihood = tl.exp(value - maximum)
        score = tl.where(likelihood < min_p, 0.0, likelihood) / _exponential(seed, step, start // 4, BLOCK)
        # Of logits that are not finite nothing is ever better, and token 0 comes out.
        is_better = (tokens < vocabulary) & (score > best)
        best, winner = tl.where(is_better, score, best), tl.where(is_better, tokens, winner)
    token = tl.min(tl.where(best == tl.max(best, axis=0), winner, vocabulary), axis=0).to(tl.int64)
    token = tl.where(step == forced, stop_token, token)

    was_live, is_end = tl.load(is_done + owner) == 0, token == stop_token
    is_kept = was_live & finite & (is_end == 0)
    tl.store(output + owner * output_stride + step, token, mask=is_kept)
    tl.store(own_seen + token, 1, mask=is_kept)
    tl.store(last_tokens + owner, token, mask=is_kept)
    tl.store(lengths + owner, tl.load(lengths + owner) + 1, mask=is_kept)
    tl.store(num_tokens + owner, step + 1, mask=is_kept)
    tl.store(is_done + owner, 1, mask=(is_kept == 0) | (step + 1 >= tl.load(max_tokens + owner)))
    tl.store(has_ended + owner, 1, mask=was_live & finite & is_end)
    tl.store(is_finite + owner, 0, mask=was_live & (finite == 0))
