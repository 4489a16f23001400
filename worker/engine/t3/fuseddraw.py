"""The end of a decode step as one Triton kernel: logits in, one token drawn and recorded for each slot.

What `step.py` and `sampling.py` do in some fifty small operations, of which each costs a launch and a trip to memory.
It needs no sum over the vocabulary: neither the likeliest token nor the winner of the race depends on it. Knows
nothing of top_p, which needs a sort.
"""

from __future__ import annotations

from typing import Final

import torch  # noqa: TID253 - imported with the engine that needs it
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

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
        logits: [L, V] contiguous, in any precision, CUDA.
        owners: [N] int64, the row of the state of the first N lanes.
        partners: [N] int64, the lane with the logits without text.
        verdict: [N] int64, see `worker.engine.t3.alignment`; None if nothing is watched.
        state: of all slots; its columns of these owners are changed.
        stop_token: ends the speech.
    """
    _draw[(owners.shape[0],)](
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
        state.output.shape[1],
        stop_token,
        vocabulary=logits.shape[1],
        has_verdict=verdict is not None,
        block=_BLOCK,
        num_warps=_NUM_WARPS,
    )


@triton.jit  # type: ignore[untyped-decorator]
def _guided_logits(
    with_text_ptr: tl.tensor,
    without_text_ptr: tl.tensor,
    seen_ptr: tl.tensor,
    tokens: tl.tensor,
    is_token: tl.tensor,
    cfg_weight: tl.tensor,
    penalty: tl.tensor,
    temperature: tl.tensor,
    verdict: tl.tensor,
    is_forced: tl.tensor,
    stop_token: tl.tensor,
) -> tl.tensor:
    """Return the logits of a block after guidance, verdict, penalty and temperature, and where they are not finite."""
    with_text = tl.load(with_text_ptr + tokens, mask=is_token, other=0.0).to(tl.float32)
    without_text = tl.load(without_text_ptr + tokens, mask=is_token, other=0.0).to(tl.float32)
    value = with_text + cfg_weight * (with_text - without_text)
    is_stop = tokens == stop_token
    value = tl.where((verdict == 1) & is_stop, -32768.0, value)
    value = tl.where(verdict == 2, tl.where(is_stop, 32768.0, -32768.0), value)
    # True of a NaN too, which is not below anything.
    is_broken = is_token & ((tl.abs(value) < float("inf")) == 0)
    was_seen = tl.load(seen_ptr + tokens, mask=is_token, other=0) != 0
    value = tl.where(was_seen, tl.where(value < 0, value * penalty, value / penalty), value) / temperature
    return tl.where(is_token & ((is_forced & is_stop) == 0), value, float("-inf")), is_broken


@triton.jit  # type: ignore[untyped-decorator]
def _exponential(seed: tl.tensor, step: tl.tensor, first_counter: tl.tensor, block: tl.constexpr) -> tl.tensor:
    """Return the noise of a block; see `worker.engine.t3.noise`."""
    counters = (first_counter + tl.arange(0, block // 4)).to(tl.uint32)
    nothing = tl.zeros_like(counters)
    first, second, third, fourth = tl.philox(seed, counters, nothing + step.to(tl.uint32), nothing, nothing)
    # The index within the inner pairs runs slower than that of the pair: the order is first, second, third, fourth.
    words = tl.join(tl.join(first, third), tl.join(second, fourth)).reshape(block)
    uniform = ((words >> 9).to(tl.float32) + 0.5) * (1.0 / 8388608.0)
    return -tl.log(uniform)


@triton.jit  # type: ignore[untyped-decorator]
def _survey(
    with_text_ptr: tl.tensor,
    without_text_ptr: tl.tensor,
    seen_ptr: tl.tensor,
    cfg_weight: tl.tensor,
    penalty: tl.tensor,
    temperature: tl.tensor,
    verdict: tl.tensor,
    is_forced: tl.tensor,
    stop_token: tl.tensor,
    vocabulary: tl.constexpr,
    block: tl.constexpr,
) -> tl.tensor:
    """Return the largest logit, and whether all of them are finite."""
    largest = tl.full([block], float("-inf"), tl.float32)
    broken = tl.zeros([block], tl.int32)
    for start in range(0, vocabulary, block):
        tokens = start + tl.arange(0, block)
        value, is_broken = _guided_logits(
            with_text_ptr,
            without_text_ptr,
            seen_ptr,
            tokens,
            tokens < vocabulary,
            cfg_weight,
            penalty,
            temperature,
            verdict,
            is_forced,
            stop_token,
        )
        largest = tl.maximum(largest, value)
        broken |= is_broken.to(tl.int32)
    return tl.max(largest, axis=0), tl.max(broken, axis=0) == 0


@triton.jit  # type: ignore[untyped-decorator]
def _race(
    with_text_ptr: tl.tensor,
    without_text_ptr: tl.tensor,
    seen_ptr: tl.tensor,
    cfg_weight: tl.tensor,
    penalty: tl.tensor,
    temperature: tl.tensor,
    verdict: tl.tensor,
    is_forced: tl.tensor,
    stop_token: tl.tensor,
    largest: tl.tensor,
    min_p: tl.tensor,
    seed: tl.tensor,
    step: tl.tensor,
    vocabulary: tl.constexpr,
    block: tl.constexpr,
) -> tl.tensor:
    """Return the token with the largest p / e; of logits that are not finite, some token below the vocabulary."""
    best = tl.full([block], -1.0, tl.float32)
    winner = tl.zeros([block], tl.int32)
    for start in range(0, vocabulary, block):
        tokens = start + tl.arange(0, block)
        value, _ = _guided_logits(
            with_text_ptr,
            without_text_ptr,
            seen_ptr,
            tokens,
            tokens < vocabulary,
            cfg_weight,
            penalty,
            temperature,
            verdict,
            is_forced,
            stop_token,
        )
        likelihood = tl.exp(value - largest)
        score = tl.where(likelihood < min_p, 0.0, likelihood) / _exponential(seed, step, start // 4, block)
        # A NaN is never better.
        is_better = (tokens < vocabulary) & (score > best)
        best, winner = tl.where(is_better, score, best), tl.where(is_better, tokens, winner)
    return tl.min(tl.where(best == tl.max(best, axis=0), winner, vocabulary - 1), axis=0).to(tl.int64)


@triton.jit  # type: ignore[untyped-decorator]
def _draw(
    logits_ptr: tl.tensor,
    owners_ptr: tl.tensor,
    partners_ptr: tl.tensor,
    verdicts_ptr: tl.tensor,
    temperatures_ptr: tl.tensor,
    cfg_weights_ptr: tl.tensor,
    penalties_ptr: tl.tensor,
    min_ps_ptr: tl.tensor,
    seeds_ptr: tl.tensor,
    max_tokens_ptr: tl.tensor,
    num_forced_ptr: tl.tensor,
    num_tokens_ptr: tl.tensor,
    is_done_ptr: tl.tensor,
    has_ended_ptr: tl.tensor,
    is_finite_ptr: tl.tensor,
    lengths_ptr: tl.tensor,
    last_tokens_ptr: tl.tensor,
    seen_ptr: tl.tensor,
    output_ptr: tl.tensor,
    output_stride: tl.tensor,
    stop_token: tl.tensor,
    vocabulary: tl.constexpr,
    has_verdict: tl.constexpr,
    block: tl.constexpr,
) -> None:
    # A program draws for one slot. It looks at the logits twice: for the largest one, and for the winner.
    lane = tl.program_id(0).to(tl.int64)
    owner = tl.load(owners_ptr + lane)
    with_text_ptr = logits_ptr + lane * vocabulary
    without_text_ptr = logits_ptr + tl.load(partners_ptr + lane) * vocabulary
    seen_ptr += owner * vocabulary
    cfg_weight, penalty = tl.load(cfg_weights_ptr + owner), tl.load(penalties_ptr + owner)
    temperature, min_p = tl.load(temperatures_ptr + owner), tl.load(min_ps_ptr + owner)
    seed, step, forced = tl.load(seeds_ptr + owner), tl.load(num_tokens_ptr + owner), tl.load(num_forced_ptr + owner)
    verdict = tl.load(verdicts_ptr + lane) if has_verdict else owner * 0
    largest, is_finite = _survey(
        with_text_ptr,
        without_text_ptr,
        seen_ptr,
        cfg_weight,
        penalty,
        temperature,
        verdict,
        forced >= 0,
        stop_token,
        vocabulary,
        block,
    )
    token = _race(
        with_text_ptr,
        without_text_ptr,
        seen_ptr,
        cfg_weight,
        penalty,
        temperature,
        verdict,
        forced >= 0,
        stop_token,
        largest,
        min_p,
        seed,
        step,
        vocabulary,
        block,
    )
    token = tl.where(step == forced, stop_token, token)
    was_live, is_end = tl.load(is_done_ptr + owner) == 0, token == stop_token
    is_kept = was_live & is_finite & (is_end == 0)
    tl.store(output_ptr + owner * output_stride + step, token, mask=is_kept)
    tl.store(seen_ptr + token, 1, mask=is_kept)
    tl.store(last_tokens_ptr + owner, token, mask=is_kept)
    tl.store(lengths_ptr + owner, tl.load(lengths_ptr + owner) + 1, mask=is_kept)
    tl.store(num_tokens_ptr + owner, step + 1, mask=is_kept)
    tl.store(is_done_ptr + owner, 1, mask=(is_kept == 0) | (step + 1 >= tl.load(max_tokens_ptr + owner)))
    tl.store(has_ended_ptr + owner, 1, mask=was_live & is_finite & is_end)
    tl.store(is_finite_ptr + owner, 0, mask=was_live & (is_finite == 0))
