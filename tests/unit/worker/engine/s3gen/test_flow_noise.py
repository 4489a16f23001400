"""The noise of an utterance follows from its seed and the place in it, and it is noise."""

from __future__ import annotations

import pytest
import torch  # noqa: TID253

from worker.engine.s3gen.noise import flow_noise, normals, random_words, uniforms


def noise(seed: int, frames: torch.Tensor) -> torch.Tensor:
    return flow_noise(torch.full_like(frames, seed), frames, 80)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        # Known answers that come with Random123, the paper's own code; the last word of the counter is zero here.
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ],
)
def test_the_words_are_those_of_philox(counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]) -> None:
    seed = torch.tensor(key[0] | key[1] << 32)
    found = random_words(seed, torch.tensor(counter[0]), torch.tensor(counter[1]), stream=counter[2])
    assert tuple(found.tolist()) == words


def test_a_frame_has_its_noise_wherever_it_is_drawn() -> None:
    whole = noise(7, torch.arange(50))
    assert torch.equal(noise(7, torch.tensor([31, 4])), whole[[31, 4]])
    seeds, frames = torch.tensor([3, 7, 3]), torch.tensor([0, 31, 1])
    assert torch.equal(flow_noise(seeds, frames, 80)[1], whole[31])


def test_it_is_normal_and_its_numbers_are_unrelated() -> None:
    numbers = noise(1, torch.arange(2_000))
    assert abs(numbers.mean()) < 0.01
    assert abs(numbers.std() - 1) < 0.01
    assert abs(numbers.pow(4).mean() - 3) < 0.1
    correlation = torch.corrcoef(numbers.T) - torch.eye(80)
    assert correlation.abs().max() < 0.12
    assert torch.corrcoef(torch.stack([numbers.flatten(), noise(2, torch.arange(2_000)).flatten()]))[0, 1].abs() < 0.01


def test_seeds_of_more_than_32_bits_differ() -> None:
    frames = torch.arange(3)
    assert not torch.equal(noise(5, frames), noise(5 + 2**32, frames))


def test_the_lowest_and_the_highest_word_give_finite_numbers() -> None:
    words = torch.tensor([0, 0, 2**32 - 1, 2**32 - 1])
    assert uniforms(words).min() > 0
    assert uniforms(words).max() <= 1
    assert normals(words).isfinite().all()
