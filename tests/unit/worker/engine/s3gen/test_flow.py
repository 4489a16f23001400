"""A batch of the flow gives each speech what the stock flow gives it alone, for the same noise."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import torch  # noqa: TID253

from worker.engine.s3gen.attention import one_by_one
from worker.engine.s3gen.batch import Packing
from worker.engine.s3gen.flow import Flow
from worker.engine.s3gen.noise import flow_noise
from worker.engine.s3gen.solver import NUM_STEPS, Solver
from worker.engine.s3gen.speech import Speech
from worker.errors import ModelLoadError, SynthesisError

CPU = torch.device("cpu")
#: Mel frames of these weights reach from -6 to 6.
TOLERANCE = 1e-5
FEW_STEPS = 2

#: The package's own calls warn; importing it takes some ten seconds.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@cache
def s3gen() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from chatterbox.models.s3gen import S3Gen

        torch.manual_seed(20_261_122)
        return S3Gen().eval()


@cache
def flow(num_steps: int = FEW_STEPS, *, is_half: bool = False, max_frames: int = 10_000) -> Flow:
    dtype = torch.bfloat16 if is_half else torch.float32
    solver = Solver(s3gen().flow.decoder, one_by_one(), dtype=dtype, device=CPU, num_steps=num_steps)
    return Flow(s3gen().flow, solver, device=CPU, is_half=is_half, max_frames=max_frames)


def voice(num_tokens: int, *, num_frames: int | None = None, seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    frames = 2 * num_tokens if num_frames is None else num_frames
    return {
        "prompt_token": torch.randint(0, 6561, (1, num_tokens), generator=generator),
        "prompt_token_len": torch.tensor([num_tokens]),
        "prompt_feat": torch.randn(1, frames, 80, generator=generator) - 5,
        "prompt_feat_len": None,
        "embedding": torch.randn(1, 192, generator=generator),
    }


def speech(num_tokens: int, reference: dict[str, Any], *, seed: int) -> Speech:
    tokens = torch.randint(0, 6561, (num_tokens,), generator=torch.Generator().manual_seed(1_000 + seed))
    return Speech(tokens, reference, seed)


def noise_of(spoken: Speech) -> torch.Tensor:
    """Return the noise of a speech as the stock flow takes it: [1, 80, F]."""
    frames = torch.arange(spoken.num_frames)
    return flow_noise(torch.full_like(frames, spoken.seed), frames, 80).T[None]


def stock_mel(spoken: Speech, num_steps: int = FEW_STEPS) -> torch.Tensor:
    mel, _ = s3gen().flow.inference(
        token=spoken.tokens[None],
        token_len=torch.tensor([spoken.tokens.numel()]),
        finalize=True,
        n_timesteps=num_steps,
        noised_mels=noise_of(spoken),
        **spoken.reference,
    )
    return mel[0]


@cache
def mixed_speeches() -> list[Speech]:
    """Return speeches of many lengths in three voices, one whose prompt has half a token more."""
    short, long, odd = voice(4, seed=1), voice(21, seed=2), voice(7, num_frames=15, seed=3)
    sizes = [(9, long), (1, short), (26, odd), (3, long), (14, short)]
    return [speech(num_tokens, reference, seed=seed) for seed, (num_tokens, reference) in enumerate(sizes)]


@cache
def stock_mels() -> list[torch.Tensor]:
    return [stock_mel(spoken) for spoken in mixed_speeches()]


def assert_equal(mels: Sequence[Any], expected: Sequence[torch.Tensor], *, atol: float = TOLERANCE) -> None:
    for mel, wanted in zip(mels, expected, strict=True):
        assert mel.shape == wanted.shape
        assert mel.dtype == torch.float32
        torch.testing.assert_close(mel, wanted, rtol=0, atol=atol)


def test_lengths_and_voices_may_be_mixed() -> None:
    assert_equal(flow().mels(mixed_speeches()), stock_mels())


def test_the_encoder_attends_without_cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of cuDNN's attention torch would keep a graph for every shape: 2 MB a batch (`bench/renderer_memory.py`)."""
    is_allowed: list[bool] = []
    attend = torch.nn.functional.scaled_dot_product_attention

    def watched(*args: Any, **options: Any) -> torch.Tensor:
        is_allowed.append(torch.backends.cuda.cudnn_sdp_enabled())
        return attend(*args, **options)

    monkeypatch.setattr("worker.engine.s3gen.encoder.F.scaled_dot_product_attention", watched)
    flow()._encode(mixed_speeches())
    assert set(is_allowed) == {False}
    assert torch.backends.cuda.cudnn_sdp_enabled(), "it is others' again"


def test_ten_steps_stay_exact() -> None:
    speeches = [mixed_speeches()[1], speech(3, voice(2, seed=4), seed=9)]
    assert_equal(flow(NUM_STEPS).mels(speeches), [stock_mel(spoken, NUM_STEPS) for spoken in speeches])


def test_the_order_changes_nothing() -> None:
    order = [3, 0, 4, 2, 1]
    mels = flow().mels([mixed_speeches()[index] for index in order])
    assert_equal(mels, [stock_mels()[index] for index in order])


def test_more_speeches_than_a_batch_holds_are_rendered_in_several() -> None:
    assert_equal(flow(max_frames=120).mels(mixed_speeches()), stock_mels())


def test_the_frames_behind_a_batch_change_nothing() -> None:
    class Roomy(Solver):
        def room_for(self, num_frames: int) -> int:
            return num_frames + 37

    solver = Roomy(s3gen().flow.decoder, one_by_one(), dtype=torch.float32, device=CPU, num_steps=FEW_STEPS)
    roomy = Flow(s3gen().flow, solver, device=CPU, is_half=False, max_frames=10_000)
    assert_equal(roomy.mels(mixed_speeches()), stock_mels())


def test_each_of_many_workspaces_in_one_memory_can_be_tried_with_a_step() -> None:
    solver = Solver(s3gen().flow.decoder, one_by_one(), dtype=torch.float32, device=torch.device("cpu"), num_steps=1)
    longest = solver.make_workspace(12)
    for num_frames in (12, 8, 4):
        workspace = solver.shorten(longest, num_frames)
        solver.take_step(workspace)
        assert workspace.step.item() == 1


def test_what_lies_between_the_sequences_does_not_leak_into_them() -> None:
    solver = flow()._solver
    packing = Packing((11, 6), 40)
    noise, context = torch.randn(40, 80), torch.randn(40, 240)
    clean = solver.solve(noise.clone(), context.clone(), packing)
    rows = torch.zeros(40, dtype=torch.bool)
    for start, length in zip(packing.starts, packing.lengths, strict=True):
        rows[start : start + length] = True
    noise[~rows], context[~rows] = float("nan"), float("inf")
    assert torch.equal(solver.solve(noise, context, packing)[rows], clean[rows])


def test_a_speech_is_the_same_in_any_company() -> None:
    spoken, neighbour = mixed_speeches()[0], mixed_speeches()[2]
    (alone,) = flow().mels([spoken])
    together = flow().mels([neighbour, spoken, neighbour])
    torch.testing.assert_close(together[1], alone, rtol=0, atol=TOLERANCE)


def test_another_seed_gives_another_mel_and_the_same_seed_the_same() -> None:
    spoken = mixed_speeches()[1]
    other = Speech(spoken.tokens, spoken.reference, spoken.seed + 1)
    first, second, third = flow().mels([spoken, other, spoken])
    torch.testing.assert_close(third, first, rtol=0, atol=TOLERANCE)
    assert (second - first).abs().max() > 0.1


def test_the_reference_is_left_as_it_is() -> None:
    reference = voice(5)
    before = {name: value.clone() for name, value in reference.items() if torch.is_tensor(value)}
    for is_half in (False, True):
        flow(is_half=is_half).mels([speech(3, reference, seed=1)])
    for name, value in before.items():
        assert reference[name].dtype == value.dtype
        assert torch.equal(reference[name], value)


def relative_error(mel: Any, wanted: torch.Tensor) -> float:
    return float((mel - wanted).square().mean().sqrt() / wanted.square().mean().sqrt())


def test_half_precision_is_no_further_off_than_the_stock_flow_in_half_precision() -> None:
    mels = flow(is_half=True).mels(mixed_speeches())
    errors = [relative_error(mel, wanted) for mel, wanted in zip(mels, stock_mels(), strict=True)]
    with torch.autocast("cpu", torch.bfloat16):
        stock_errors = [
            relative_error(stock_mel(spoken), wanted)
            for spoken, wanted in zip(mixed_speeches(), stock_mels(), strict=True)
        ]
    assert max(errors) < 0.04
    assert sum(errors) < 1.5 * sum(stock_errors)


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        (torch.tensor([5, 6561]), "6561 has no sound"),
        (torch.tensor([-1, 5]), "-1 has no sound"),
        (torch.tensor([], dtype=torch.int64), "no speech tokens"),
        (torch.tensor([5.0]), "whole numbers"),
    ],
)
def test_tokens_without_a_sound_fail_alone(tokens: torch.Tensor, reason: str) -> None:
    first, last = mixed_speeches()[:2]
    bad = Speech(tokens, first.reference, seed=1)
    mels = flow().mels([first, bad, last])
    assert_equal([mels[0], mels[2]], stock_mels()[:2])
    assert isinstance(mels[1], SynthesisError)
    assert reason in str(mels[1])


def test_a_voice_that_is_not_finite_fails_alone() -> None:
    first, last = mixed_speeches()[:2]
    broken = {**voice(4), "embedding": torch.full((1, 192), float("nan"))}
    mels = flow().mels([first, speech(3, broken, seed=1), last])
    assert_equal([mels[0], mels[2]], stock_mels()[:2])
    assert "finite" in str(mels[1])


def test_a_voice_without_its_parts_fails_alone() -> None:
    (mel,) = flow().mels([speech(3, {**voice(4), "embedding": None}, seed=1)])
    assert "embedding" in str(mel)


def test_a_prompt_that_is_longer_than_its_tokens_fails_alone() -> None:
    (mel,) = flow().mels([speech(1, voice(4, num_frames=10), seed=1)])
    assert "more frames" in str(mel)


def test_no_speeches_give_no_mels() -> None:
    assert flow().mels([]) == []


def test_a_flow_of_another_structure_is_refused() -> None:
    class Distilled:
        estimator = s3gen().flow.decoder.estimator.__class__(in_channels=320, channels=[256], num_mid_blocks=1)
        inference_cfg_rate, t_scheduler = 0.7, "cosine"

    Distilled.estimator.meanflow = True
    with pytest.raises(ModelLoadError, match="another structure"):
        Solver(Distilled(), one_by_one(), dtype=torch.float32, device=CPU)
