"""Runs the precisions of T3 over the same texts and voice, and reports how far each is from full precision.

Knows nothing of the command line: `chatterqueue models compare` and bench/fidelity.py print what this returns.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from worker.errors import SynthesisError
from worker.models import checkpointparts, fidelity
from worker.models.footprint import Footprint, measured
from worker.models.generation import DEFAULT_MAX_SPEECH_TOKENS, NUM_SOUNDS, generate_tokens
from worker.models.sampling import Sampling
from worker.models.vocoder import vocode

if TYPE_CHECKING:
    import torch

    from worker.models.precision import Precision

#: Noise of the vocoder and of sampling; the same for every precision.
SEED: Final = 20_261_122


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run T3."""

    name: str
    precision: Precision
    threshold: float = 0.0


FULL: Final = Variant("fp32", "fp32")
VARIANTS: Final = (FULL, Variant("bf16", "bf16"), Variant("int8", "int8"))
#: LLM.int8() as transformers sets it: outliers of the activations in half precision.
INT8_WITH_OUTLIERS: Final = Variant("int8 threshold 6", "int8", 6.0)


@dataclass(frozen=True, slots=True)
class Question:
    """What every variant is asked: a text, and the tokens that the full model made of it."""

    text: str
    text_tokens: torch.Tensor
    greedy: torch.Tensor
    logits: torch.Tensor
    samples: torch.Tensor


@dataclass(frozen=True, slots=True)
class Report:
    """One variant's figures. Distances are from the full precision's answers to the same texts."""

    name: str
    kl_nats: float
    max_kl_nats: float
    top_1: float
    greedy_token_error_rate: float
    sampled_token_error_rate: float
    mel_distance_db: float
    speaker_similarity: float
    #: Share of the texts, greedy and sampled, that the model ended by itself.
    ended: float
    #: Edit distance of what was said to the text, for each character; only for a language that can be read back.
    text_error_rate: float | None
    t3_mib: float
    total_mib: float
    peak_mib: float
    t3_load_s: float
    t3_peak_host_mib: float
    t3_peak_host_with_files_mib: float
    tokens_per_s: float
    num_texts: int
    num_tokens: int

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain numbers."""
        return asdict(self)


def compare(
    model: Any,
    directory: Path,
    texts: Sequence[str],
    device: str,
    *,
    tokenize: Callable[[str], torch.Tensor],
    variants: Iterable[Variant] = VARIANTS,
    sampling: Sampling | None = None,
    max_tokens: int = DEFAULT_MAX_SPEECH_TOKENS,
    read_back: Callable[[list[int]], str] | None = None,
) -> list[Report]:
    """Compare the variants of T3 on one device; the full precision is always the first.

    Args:
        model: one of our classes, loaded on this device; only its T3 is replaced, again and again.
        directory: the checkpoint it was loaded from.
        texts: what is spoken.
        device: where.
        tokenize: text to text tokens [T], start and stop token included.
        variants: those to compare.
        sampling: for the sampled answers; its guidance is used for the greedy ones too.
        max_tokens: where an answer is given up.
        read_back: speech tokens to the text they say.
    """
    sampling = sampling or Sampling()
    model.t3 = None
    questions: list[Question] = []
    reports: list[Report] = []
    full_sampled: list[torch.Tensor] = []
    for variant in [FULL, *(variant for variant in variants if variant != FULL)]:
        gc.collect()
        with measured(device) as footprint:
            t3 = checkpointparts.load_t3(
                directory, model.files, device, precision=variant.precision, threshold=variant.threshold
            )
        runner = _Runner(t3, model, sampling, max_tokens)
        # The first answer pays for the set-up of libraries.
        runner.answer(tokenize(texts[0]), replace(sampling, min_p=1.0), max_tokens=8)
        answers = [runner.both(tokenize(text)) for text in texts]
        if variant == FULL:
            questions = [
                Question(text, tokenize(text), greedy, runner.logits(tokenize(text), greedy), runner.samples(greedy))
                for text, (greedy, _) in zip(texts, answers, strict=True)
            ]
            full_sampled = [sampled for _, sampled in answers]
        reports.append(_report(variant, runner, questions, full_sampled, answers, footprint, read_back, device))
        del runner, t3
    return reports


class _Runner:
    """Speaks with one variant, and keeps count."""

    def __init__(self, t3: Any, model: Any, sampling: Sampling, max_tokens: int) -> None:
        self.t3, self.model, self.sampling, self.max_tokens = t3, model, sampling, max_tokens
        self.num_tokens = self.num_answers = self.num_ended = 0
        self.seconds = 0.0

    def answer(self, text_tokens: torch.Tensor, sampling: Sampling, *, max_tokens: int) -> tuple[torch.Tensor, bool]:
        """Return the speech tokens on the CPU, and whether there was an end."""
        import torch

        generator = torch.Generator(self.t3.device).manual_seed(SEED)
        voice = self.model.conds.t3
        tokens, has_ended = generate_tokens(
            self.t3, voice, text_tokens, sampling, max_tokens=max_tokens, generator=generator
        )
        return tokens.cpu(), has_ended

    def both(self, text_tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a greedy answer and a sampled one, and count them."""
        answers = []
        for sampling in (replace(self.sampling, min_p=1.0), self.sampling):
            started_s = time.perf_counter()
            tokens, has_ended = self.answer(text_tokens, sampling, max_tokens=self.max_tokens)
            self.seconds += time.perf_counter() - started_s
            self.num_tokens += tokens.numel()
            self.num_answers += 1
            self.num_ended += has_ended
            answers.append(tokens)
        return answers[0], answers[1]

    def logits(self, text_tokens: torch.Tensor, speech_tokens: torch.Tensor) -> torch.Tensor:
        """Return the logits over given speech tokens."""
        voice = self.model.conds.t3
        return fidelity.teacher_forced_logits(self.t3, voice, text_tokens, speech_tokens, self.sampling.cfg_weight)

    def samples(self, speech_tokens: torch.Tensor) -> torch.Tensor:
        """Return the samples of an answer on the CPU; a moment of silence if nothing was said."""
        import torch

        try:
            tokens = speech_tokens[speech_tokens < NUM_SOUNDS].to(self.t3.device)
            return vocode(self.model.s3gen, tokens, self.model.conds.gen, seed=SEED).cpu()
        except SynthesisError:
            return torch.zeros(self.model.sr)


def _report(
    variant: Variant,
    runner: _Runner,
    questions: Sequence[Question],
    full_sampled: Sequence[torch.Tensor],
    answers: Sequence[tuple[torch.Tensor, torch.Tensor]],
    footprint: Footprint,
    read_back: Callable[[list[int]], str] | None,
    device: str,
) -> Report:
    rounds = list(zip(questions, answers, full_sampled, strict=True))
    distances = [fidelity.distance(q.logits, runner.logits(q.text_tokens, q.greedy)) for q in questions]
    weights = [len(q.logits) for q in questions]
    samples = [runner.samples(greedy) for greedy, _ in answers]
    model = runner.model
    text_error_rate = None
    if read_back:
        said = [(q.text, read_back(tokens.tolist())) for q, answer, _ in rounds for tokens in answer]
        text_error_rate = _mean([fidelity.error_rate(text, heard) for text, heard in said])
    return Report(
        name=variant.name,
        kl_nats=_mean([d.kl for d in distances], weights),
        max_kl_nats=max(d.max_kl for d in distances),
        top_1=_mean([d.top_1 for d in distances], weights),
        greedy_token_error_rate=_mean([fidelity.error_rate(q.greedy.tolist(), a[0].tolist()) for q, a, _ in rounds]),
        sampled_token_error_rate=_mean([fidelity.error_rate(f.tolist(), a[1].tolist()) for _, a, f in rounds]),
        mel_distance_db=_mean([fidelity.mel_distance(q.samples, s) for q, s in zip(questions, samples, strict=True)]),
        speaker_similarity=_mean(
            [fidelity.speaker_similarity(model.ve, q.samples, s) for q, s in zip(questions, samples, strict=True)]
        ),
        ended=runner.num_ended / runner.num_answers,
        text_error_rate=text_error_rate,
        t3_mib=footprint.device_mib,
        total_mib=_allocated_mib(device),
        peak_mib=footprint.peak_device_mib,
        t3_load_s=footprint.seconds,
        t3_peak_host_mib=footprint.peak_host_mib,
        t3_peak_host_with_files_mib=footprint.peak_host_with_files_mib,
        tokens_per_s=runner.num_tokens / runner.seconds,
        num_texts=len(questions),
        num_tokens=runner.num_tokens,
    )


def _mean(values: Sequence[float], weights: Sequence[float] | None = None) -> float:
    weights = weights or [1.0] * len(values)
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)


def _allocated_mib(device: str) -> float:
    import torch

    return torch.cuda.memory_allocated() / 2**20 if torch.device(device).type == "cuda" else 0.0
