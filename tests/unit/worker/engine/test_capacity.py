from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import pytest

from producer.contract.narration import ModelName
from worker.engine.capacity import costs_of, find_capacity, fit_models, weights_bytes
from worker.errors import DeviceTooSmallError

MIB, GIB = 2**20, 2**30

#: What the driver leaves of a card for us: its context and kernels take some 450 MiB.
FREE_GIB = {8: 7.5, 12: 11.5, 24: 23.1, 80: 78.6, 141: 138.9}

T3_MIB = {"fp32": 2_031, "bf16": 1_016, "int8": 525}


def planned(card_gib: int, precision: str, num_models: int = 1, **limits: int):
    limits = {"max_slots": None, "max_frames": None, **limits}
    t3s_bytes = [T3_MIB[precision] * MIB] * num_models
    return fit_models(int(FREE_GIB[card_gib] * GIB), precision, t3s_bytes, **limits)


@pytest.mark.parametrize(
    ("card_gib", "precision", "num_models", "num_slots", "num_frames"),
    [
        (8, "int8", 1, 29, 14_848),
        (8, "int8", 2, 10, 5_120),
        (8, "bf16", 1, 16, 8_192),
        (8, "fp32", 1, 5, 2_560),
        (12, "int8", 1, 52, 26_624),
        (12, "int8", 2, 20, 10_240),
        (24, "int8", 1, 126, 49_152),
        (24, "bf16", 2, 29, 14_848),
        (80, "int8", 1, 128, 49_152),
        (80, "int8", 2, 128, 49_152),
        (141, "int8", 1, 128, 49_152),
        (141, "fp32", 1, 128, 49_152),
        (141, "int8", 2, 128, 49_152),
    ],
)
def test_slots_and_frames_by_card_precision_and_number_of_models(
    card_gib: int, precision: str, num_models: int, num_slots: int, num_frames: int
) -> None:
    """Frames are at least those; what is left of the last slot's room comes on top."""
    fit = planned(card_gib, precision, num_models)
    assert fit.num_slots == num_slots
    assert num_frames <= fit.max_frames < num_frames + 4_096
    left_bytes = FREE_GIB[card_gib] * GIB - num_models * T3_MIB[precision] * MIB
    assert num_models * fit.planned_bytes(costs_of(precision)) <= 0.92 * left_bytes


def test_eight_slots_fit_into_four_gibibytes_with_the_weights() -> None:
    fit = planned(141, "int8", max_slots=8, max_frames=2_560)
    assert (fit.num_slots, fit.max_frames) == (8, 2_560)
    assert fit.planned_bytes(costs_of("int8")) + T3_MIB["int8"] * MIB <= 4 * GIB


def test_a_card_that_is_too_small_is_told_how_much_is_missing() -> None:
    with pytest.raises(DeviceTooSmallError, match=r"one segment does not fit: .* MiB would do, [\d,]+ more") as caught:
        fit_models(2 * GIB, "int8", [525 * MIB], max_slots=None, max_frames=None)
    free_bytes, needed_bytes = caught.value.args
    fit_models(needed_bytes + 600 * MIB, "int8", [525 * MIB], max_slots=None, max_frames=None)
    with pytest.raises(DeviceTooSmallError):
        fit_models(needed_bytes + 500 * MIB, "int8", [525 * MIB], max_slots=None, max_frames=None)
    assert free_bytes == 2 * GIB - 525 * MIB


def test_without_a_gpu_there_are_few_slots() -> None:
    models = tuple(ModelName)
    assert find_capacity("cpu", "fp32", Path("nowhere"), models).num_slots == 2
    assert find_capacity("cpu", "fp32", Path("nowhere"), models, max_slots=7).num_slots == 7


def test_the_header_of_a_t3_says_what_it_takes(tmp_path: Path) -> None:
    shapes = {
        "text_emb.weight": [704, 8],
        "speech_pos_emb.emb.weight": [4, 8],
        "tfmr.layers.0.mlp.up_proj.weight": [16, 8],
        "tfmr.norm.weight": [8],
    }
    header, offset = {}, 0
    for name, shape in shapes.items():
        end = offset + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    encoded = json.dumps(header).encode()
    (tmp_path / "t3_cfg.safetensors").write_bytes(struct.pack("<Q", len(encoded)) + encoded + bytes(offset))
    num_others = 704 * 8 + 4 * 8 + 8
    assert weights_bytes(tmp_path, ModelName.ENGLISH, "fp32") == offset
    assert weights_bytes(tmp_path, ModelName.ENGLISH, "bf16") == offset // 2
    assert weights_bytes(tmp_path, ModelName.ENGLISH, "int8") == 2 * num_others + 16 * 8 + 4 * 16
    # Only its int8 copy is there, in a cache: the published size.
    assert weights_bytes(tmp_path, ModelName.MULTILINGUAL, "int8") == 530 * MIB
