from __future__ import annotations

import pytest

from worker.engine.capacity import find_capacity, fit_models
from worker.errors import WorkerStartError

GIB = 2**30


@pytest.mark.parametrize(
    ("free_gib", "precision", "num_models", "num_slots"),
    [
        (7.2, "int8", 1, 14),
        (7.2, "int8", 2, 2),
        (11, "int8", 1, 25),
        (23, "int8", 1, 60),
        (23, "bf16", 2, 25),
        (79, "int8", 1, 128),
        (140, "int8", 1, 128),
        (140, "fp32", 1, 128),
        (140, "int8", 2, 128),
    ],
)
def test_slots_by_card_precision_and_number_of_models(free_gib, precision, num_models, num_slots):
    fit = fit_models(int(free_gib * GIB), precision, num_models, max_slots=None, max_frames=None)
    assert fit.num_slots == num_slots


def test_settings_limit_what_is_taken():
    fit = fit_models(140 * GIB, "int8", 1, max_slots=8, max_frames=2_560)
    assert (fit.num_slots, fit.max_frames) == (8, 2_560)


def test_a_card_that_is_too_small_is_refused_before_anything_is_loaded():
    with pytest.raises(WorkerStartError, match="GiB free"):
        fit_models(2 * GIB, "int8", 1, max_slots=None, max_frames=None)


def test_without_a_gpu_there_are_few_slots():
    assert find_capacity("cpu", "fp32", 2).num_slots == 2
    assert find_capacity("cpu", "fp32", 2, max_slots=7).num_slots == 7
