"""Random numbers follow from the seed, the step and the token, and from nothing else."""

from __future__ import annotations

import torch  # noqa: TID253 - the tests compare tensors

from worker.engine.t3.noise import exponential_noise, philox, to_exponential


def test_the_words_are_those_of_philox() -> None:
    """The test vector of Salmon et al. 2011 (Random123, kat_vectors) for a key and a counter of zeros."""
    zero = torch.zeros(1, dtype=torch.long)
    assert [f"{word:08x}" for word in philox(zero, zero, zero)[0].tolist()] == [
        "6627e8d5",
        "e169c58d",
        "bc57ac4c",
        "9b00dbd8",
    ]


def test_a_slot_draws_the_same_in_every_batch() -> None:
    seeds, steps = torch.tensor([7, 2**32 - 1, 7, 0]), torch.tensor([0, 999, 1, 0])
    together = exponential_noise(seeds, steps, 8194)
    for index in range(4):
        alone = exponential_noise(seeds[index : index + 1], steps[index : index + 1], 8194)
        assert torch.equal(together[index], alone[0])
    shorter = exponential_noise(seeds, steps, 101)
    assert torch.equal(together[:, :101], shorter)


def test_seeds_and_steps_give_other_numbers() -> None:
    seeds, steps = torch.tensor([1, 1, 2, 2]), torch.tensor([1, 2, 1, 2])
    noise = exponential_noise(seeds, steps, 8194)
    # Of two independent rows, hardly any number is in both: 2**23 values, 8,194 draws.
    for first in range(4):
        for second in range(first):
            assert (noise[first] == noise[second]).sum() < 5
    assert noise.unique().numel() > 0.99 * noise.numel()


def test_the_numbers_are_exponentially_distributed() -> None:
    noise = exponential_noise(torch.arange(40), torch.arange(40), 8194).flatten().double()
    # 327,760 numbers: the standard error of the mean is 0.0017.
    assert abs(noise.mean() - 1) < 0.01
    assert abs(noise.var() - 1) < 0.02
    for level in (0.1, 0.5, 1.0, 3.0):
        expected = 1 - torch.exp(torch.tensor(-level)).item()
        assert abs((noise < level).double().mean() - expected) < 0.005


def test_the_extreme_words_give_finite_numbers_above_zero() -> None:
    noise = to_exponential(torch.tensor([0, 2**32 - 1]))
    assert torch.isfinite(noise).all()
    assert (noise > 0).all()
