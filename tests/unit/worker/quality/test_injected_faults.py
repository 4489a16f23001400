"""Real speech of the draft voice, spoiled: a small part of bench/quality.py, on sentences of its own."""

from __future__ import annotations

import numpy as np
import pytest

from bench.injected.faults import FAULTS, Samples
from bench.injected.sentences import Sentences
from worker.quality import Examiner

RATE_HZ = 24_000
SEED = 303


@pytest.fixture(scope="module")
def spoken() -> list[tuple[str, Samples]]:
    from hibari import Hibari

    voice = Hibari(threads=1)
    texts = [text for text in Sentences(SEED, vocabulary="report").take(60) if len(text) < 90][:32]
    return [(text, np.asarray(voice(text, seed=at), np.float32)) for at, text in enumerate(texts)]


@pytest.fixture(scope="module")
def examiner(spoken: list[tuple[str, Samples]]) -> Examiner:
    """Knows the voice, and doubted none of its takes."""
    examiner = Examiner()
    doubted = [text for text, pcm in spoken if flags(examiner, text, pcm)]
    assert doubted == []
    return examiner


def flags(examiner: Examiner, text: str, pcm: Samples) -> tuple[str, ...]:
    return examiner.examine(pcm, RATE_HZ, text=text, language="en", voice="draft").flags


@pytest.mark.parametrize("name", FAULTS)
def test_spoiled_takes_are_found(name, spoken, examiner):
    rng = np.random.default_rng(SEED)
    missed = [text for text, pcm in spoken[:12] if not flags(examiner, text, FAULTS[name](pcm, RATE_HZ, rng))]
    assert missed == []
