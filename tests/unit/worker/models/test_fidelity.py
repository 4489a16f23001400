"""The figures of the comparison: right for cases that can be worked out by hand, and whole when it is run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import small_checkpoint
import tiny_t3
import torch  # noqa: TID253

from worker.models import fidelity
from worker.models.footprint import Footprint, measured
from worker.models.generation import generate_tokens
from worker.models.sampling import Sampling

pytestmark = [pytest.mark.thorough, pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize(
    ("reference", "other", "rate"),
    [("abcd", "abcd", 0.0), ("abcd", "abd", 0.25), ("abcd", "xabcd", 0.25), ("abcd", "axcx", 0.5), ("ab", "", 1.0)],
)
def test_error_rate_counts_edits(reference: str, other: str, rate: float) -> None:
    assert fidelity.error_rate(reference, other) == rate


def test_distance_is_that_of_the_distributions() -> None:
    logits = torch.tensor([[0.0, 0.0], [3.0, 0.0]]).log_softmax(-1)
    other = torch.tensor([[0.75, 0.25], [0.9, 0.1]]).log()
    found = fidelity.distance(logits, other)
    first = 0.5 * (torch.tensor(0.5 / 0.75).log() + torch.tensor(0.5 / 0.25).log())
    assert found.max_kl == pytest.approx(float(first), abs=1e-6)
    assert found.top_1 == 1.0
    assert fidelity.distance(logits, logits + 5).kl == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("cfg_weight", [0.0, 0.5])
def test_teacher_forced_logits_are_those_of_the_loop(cfg_weight: float) -> None:
    t3, voice, text = tiny_t3.tiny_t3(), tiny_t3.tiny_voice(), tiny_t3.text_ids()
    greedy = Sampling(min_p=1.0, repetition_penalty=1.0, cfg_weight=cfg_weight)
    tokens, _ = generate_tokens(t3, voice, text, greedy, max_tokens=10)
    logits = fidelity.teacher_forced_logits(t3, voice, text, tokens, cfg_weight)
    assert logits.argmax(-1)[:-1].tolist() == tokens.tolist()


def test_the_mel_distance_of_half_the_loudness_is_six_decibels() -> None:
    samples = torch.sin(torch.arange(24_000) * 0.2) * 0.5 + 0.1 * torch.randn(24_000)
    assert fidelity.mel_distance(samples, samples / 2) == pytest.approx(6.02, abs=0.05)
    assert fidelity.mel_distance(samples, samples) == 0.0


def test_a_footprint_adds_up() -> None:
    total = Footprint(1.0, 10, 20, 100, 150).add(Footprint(2.0, 5, 50, 30, 40))
    assert total == Footprint(3.0, 10, 50, 130, 150)


def test_a_footprint_sees_private_memory() -> None:
    with measured("cpu") as footprint:
        # Long enough to be sampled, and written to, or it would not be there.
        kept = [torch.ones(8 * 2**20) for _ in range(4)]
        sum(float(part.sum()) for part in kept for _ in range(5))
    assert footprint.seconds > 0
    assert footprint.peak_host_mib > 64


@pytest.mark.slow
def test_the_command_prints_a_table_and_figures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from worker.models import compare

    texts = tmp_path / "texts"
    texts.write_text("Hello.\n", encoding="utf-8")
    checkpoint = small_checkpoint.cached_checkpoint("english")
    command = [str(checkpoint), "--device", "cpu", "--texts", str(texts), "--max-tokens", "30"]
    assert compare.main([*command, "--json"]) == 0
    full, bf16 = json.loads(capsys.readouterr().out)
    assert (full["name"], bf16["name"]) == ("fp32", "bf16")
    assert full["kl_nats"] == 0.0
    assert 0 < bf16["kl_nats"] < 1
    assert full["greedy_token_error_rate"] == full["sampled_token_error_rate"] == 0.0
    assert full["ended"] == 1.0
    assert compare.main([str(tmp_path), "--device", "cpu"]) == 8
    assert "checkpoint: t3_cfg.safetensors" in capsys.readouterr().err
