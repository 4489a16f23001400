from __future__ import annotations

import pytest

from worker.errors import ModelLoadError
from worker.models.precision import choose_precision


@pytest.mark.parametrize(
    ("wanted", "device", "chosen"),
    [
        ("auto", "cuda", "int8"),
        ("auto", "cpu", "fp32"),
        ("int8", "cuda", "int8"),
        ("bf16", "cuda", "bf16"),
        ("bf16", "cpu", "bf16"),
        ("fp32", "cuda", "fp32"),
    ],
)
def test_auto_follows_the_device_and_every_other_word_is_kept(wanted, device, chosen) -> None:
    assert choose_precision(wanted, device) == chosen


def test_int8_on_a_cpu_says_what_to_set_instead() -> None:
    with pytest.raises(ModelLoadError, match=r"CHATTERQUEUE_PRECISION is int8.*set it to auto or fp32") as caught:
        choose_precision("int8", "cpu")
    assert caught.value.exit_code == 8
