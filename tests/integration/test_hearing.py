"""The recognizer itself, on speech of the draft voice."""

from __future__ import annotations

import numpy as np
import pytest

from worker.quality.hearing import find_hearing

pytestmark = pytest.mark.integration

TEXT = "The old keeper lit the lamp before the storm reached the harbour."


@pytest.fixture(scope="module")
def hearing():
    found, why = find_hearing(None, num_threads=1)
    assert found is not None, why
    yield found
    found.close()


def heard(hearing, pcm) -> list[str]:
    findings = hearing.submit(pcm, 24_000, text=TEXT, language="en").result(timeout=240)
    return [finding.flag.value for finding in findings]


def test_it_tells_a_whole_text_from_half_of_it_and_from_another(hearing):
    from hibari import Hibari

    voice = Hibari(threads=1)
    whole = np.asarray(voice(TEXT, seed=1), np.float32)
    half = np.asarray(voice("The old keeper lit the lamp before.", seed=1), np.float32)
    other = np.asarray(voice("Seven boats crossed the bay while nobody was watching them.", seed=1), np.float32)
    assert heard(hearing, whole) == []
    assert heard(hearing, half) == ["words_missing"]
    assert heard(hearing, other) != []


def test_the_small_model_knows_english_alone(hearing):
    assert hearing.understands("en")
    assert not hearing.understands("de")


def test_it_is_named_what_is_missing(tmp_path):
    assert find_hearing(tmp_path, num_threads=1) == (None, f"no model.bin in {tmp_path}")
