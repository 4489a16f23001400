"""The figures of the comparison: right for cases that can be worked out by hand, and whole when it is run."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import mmap
import sys
from pathlib import Path

import pytest
import small_checkpoint
import tiny_t3
import torch  # noqa: TID253

from worker.models import compare, fidelity
from worker.models.comparison import Report
from worker.models.footprint import Footprint, measured
from worker.models.generation import generate_tokens
from worker.models.sampling import Sampling

pytestmark = pytest.mark.filterwarnings("default")


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
    num_bytes = 128 * 2**20
    with measured("cpu") as footprint:
        # Not from the heap: what other tests have freed there would be used again, and nothing would be added.
        block = mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for offset in range(0, num_bytes, mmap.PAGESIZE):
            block[offset] = 1
    assert footprint.seconds > 0
    assert footprint.peak_host_mib > 64
    block.close()


@pytest.mark.slow
def test_the_command_prints_a_table_and_says_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "texts"
    texts.write_text("Hello.\n", encoding="utf-8")
    assert compare.main([str(small_checkpoint.cached_checkpoint()), "--device", "cpu", "--texts", str(texts)]) == 0
    done = capsys.readouterr()
    assert "int8 is left out" in done.err
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.out.splitlines()]
    assert head == ["", "fp32", "bf16"]
    table = {name: (fp32, bf16) for name, fp32, bf16 in rows}
    fp32, bf16 = table["logits: KL from fp32, mean (nats)"]
    assert float(fp32) == 0.0
    assert 0.0 < float(bf16) < 1.0
    assert table["token error rate, greedy"][0] == table["token error rate, sampled with the same noise"][0] == "0.00%"
    assert table["ended by itself"] == ("100.0%", "100.0%")


def test_the_command_prints_figures_as_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = {field.name: 0.5 for field in dataclasses.fields(Report)} | {"name": "fp32"}
    monkeypatch.setattr(compare, "run", lambda _options: [Report(**numbers)])
    assert compare.main(["anywhere", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [numbers]


@pytest.mark.parametrize(
    ("device", "fault"), [("cpu", "checkpoint: t3_cfg.safetensors"), ("cuda", "torch finds no CUDA device")]
)
def test_the_command_ends_with_a_sentence_and_its_exit_code(
    device: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert compare.main([str(tmp_path), "--device", device]) == 8
    assert fault in capsys.readouterr().err


def test_the_producers_command_hands_over_what_this_one_understands(monkeypatch: pytest.MonkeyPatch) -> None:
    from producer.cli import main

    started: list[list[str]] = []

    def become(program: str, arguments: list[str]) -> None:
        started.append(arguments)
        raise SystemExit(0)

    monkeypatch.setattr("os.execv", become)
    given = ["models", "compare", "weights", "--model", "multilingual", "--language", "fr", "--device", "cpu", "--json"]
    monkeypatch.setattr(sys, "argv", ["chatterqueue", *given])
    with contextlib.suppress(SystemExit):
        main()
    ((_, option, module, *arguments),) = started
    assert (option, module) == ("-m", "worker.models.compare")
    options = compare.parser().parse_args(arguments)
    assert (str(options.directory), options.model, options.language) == ("weights", "multilingual", "fr")
    assert (options.device, options.json) == ("cpu", True)
