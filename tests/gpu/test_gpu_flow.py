"""On a GPU the flow gives what the stock flow gives alone; kernels and graphs change nothing but the last digits."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import pytest
import torch  # noqa: TID253

from worker.engine.s3gen.attention import flash, one_by_one, tiled
from worker.engine.s3gen.flow import Flow, make_flow
from worker.engine.s3gen.graphs import GraphedSolver
from worker.engine.s3gen.noise import flow_noise
from worker.engine.s3gen.sections import FORMS
from worker.engine.s3gen.solver import Solver
from worker.engine.s3gen.speech import Speech

pytestmark = pytest.mark.gpu

MAX_FRAMES = 4_096
#: Relative error of a mel in half precision against the stock flow in full precision, root of mean squares.
HALF_TOLERANCE = 0.03


def cuda() -> torch.device:
    return torch.device("cuda")


@cache
def s3gen() -> Any:
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from chatterbox.models.s3gen import S3Gen

        torch.manual_seed(20_261_122)
        return S3Gen().eval().to(cuda())


def voice(num_tokens: int, seed: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    reference = {
        "prompt_token": torch.randint(0, 6561, (1, num_tokens), generator=generator),
        "prompt_token_len": torch.tensor([num_tokens]),
        "prompt_feat": torch.randn(1, 2 * num_tokens, 80, generator=generator) - 5,
        "embedding": torch.randn(1, 192, generator=generator),
    }
    return {**{name: value.to(cuda()) for name, value in reference.items()}, "prompt_feat_len": None}


@cache
def speeches() -> list[Speech]:
    long, short = voice(250, seed=1), voice(60, seed=2)
    sizes = [(390, long), (1, short), (101, short), (257, long), (40, long)]
    generator = torch.Generator().manual_seed(3)
    return [
        Speech(torch.randint(0, 6561, (num_tokens,), generator=generator), reference, seed)
        for seed, (num_tokens, reference) in enumerate(sizes)
    ]


@cache
def stock_mels() -> list[torch.Tensor]:
    mels = []
    for spoken in speeches():
        frames = torch.arange(spoken.num_frames, device=cuda())
        noise = flow_noise(torch.full_like(frames, spoken.seed), frames, 80)
        mel, _ = s3gen().flow.inference(
            token=spoken.tokens[None].to(cuda()),
            token_len=torch.tensor([spoken.tokens.numel()], device=cuda()),
            finalize=True,
            n_timesteps=10,
            noised_mels=noise.T[None],
            **spoken.reference,
        )
        mels.append(mel[0])
    return mels


def half_solver(attention: Any, **options: Any) -> Solver:
    return Solver(s3gen().flow.decoder, attention, dtype=torch.bfloat16, device=cuda(), **options)


def half_flow(solver: Any) -> Flow:
    return Flow(s3gen().flow, solver, device=cuda(), is_half=True, max_frames=MAX_FRAMES)


def relative_error(mel: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((mel - wanted).square().mean().sqrt() / wanted.square().mean().sqrt())


def errors_of(flow: Flow, order: list[int] | None = None) -> list[float]:
    places = order or list(range(len(speeches())))
    mels = flow.mels([speeches()[place] for place in places])
    return [relative_error(mel, stock_mels()[place]) for mel, place in zip(mels, places, strict=True)]


def test_full_precision_equals_the_stock_flow(figures: dict[str, Any]) -> None:
    flow = make_flow(s3gen().flow, device=cuda(), precision="fp32", max_frames=MAX_FRAMES)
    mels = flow.mels(speeches())
    errors = [float((mel - wanted).abs().max()) for mel, wanted in zip(mels, stock_mels(), strict=True)]
    figures["fp32, largest difference from the stock flow"] = max(errors)
    assert max(errors) < 1e-4  # another GEMM for each shape: sums of other orders, over ten steps


@pytest.mark.parametrize(
    ("attention", "section"),
    [("one_by_one", "plain"), ("flash", "plain"), ("tiled", "plain"), ("tiled", "fused"), ("tiled", "compiled")],
)
def test_half_precision_stays_close_in_every_form(attention: str, section: str, figures: dict[str, Any]) -> None:
    form = {"one_by_one": one_by_one, "flash": lambda: flash(MAX_FRAMES), "tiled": tiled}[attention]()
    errors = errors_of(half_flow(half_solver(form, section=FORMS[section]())))
    figures[f"bf16, {section} section, {attention} attention, relative errors"] = errors
    assert max(errors) < HALF_TOLERANCE


def test_the_stock_flow_in_half_precision_is_no_closer(figures: dict[str, Any]) -> None:
    exact = stock_mels()
    stock_mels.cache_clear()
    with torch.autocast("cuda", torch.bfloat16):
        half = stock_mels()
    stock_mels.cache_clear()
    errors = [relative_error(mel.float(), wanted) for mel, wanted in zip(half, exact, strict=True)]
    figures["stock bf16 autocast, relative errors"] = errors
    ours = errors_of(half_flow(half_solver(tiled())))
    assert sum(ours) < 1.5 * sum(errors)


def test_a_graph_gives_what_it_captured_in_any_order_and_length() -> None:
    solver = half_solver(tiled())
    graphed = GraphedSolver(solver, max_frames=MAX_FRAMES)
    graphed.warm_up()
    eager = half_flow(solver)
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1], [2, 1], [0, 3]):
        chosen = [speeches()[place] for place in order]
        for mel, wanted in zip(half_flow(graphed).mels(chosen), eager.mels(chosen), strict=True):
            assert relative_error(mel, wanted) < 5e-3


def test_garbage_of_the_last_batch_does_not_leak_into_the_next() -> None:
    graphed = GraphedSolver(half_solver(tiled()), max_frames=2_048)
    graphed.warm_up()
    flow = half_flow(graphed)
    (before,) = flow.mels([speeches()[2]])
    broken = {**speeches()[3].reference, "embedding": torch.full((1, 192), float("inf"), device=cuda())}
    flow.mels([Speech(speeches()[3].tokens, broken, 1)])
    flow.mels([Speech(speeches()[2].tokens, broken, 1)])
    (after,) = flow.mels([speeches()[2]])
    assert torch.equal(before, after)
