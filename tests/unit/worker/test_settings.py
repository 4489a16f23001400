from __future__ import annotations

import pytest

from producer.contract.errors import SettingsError
from worker.settings import WorkerSettings


def test_weights_are_verified_in_full_and_need_no_lock_unless_told() -> None:
    settings = WorkerSettings.load()
    assert (settings.precision, settings.verification, settings.require_lock) == ("auto", "full", False)


@pytest.mark.parametrize("precision", ["auto", "int8", "bf16", "fp32"])
def test_every_precision_can_be_asked_for(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATTERQUEUE_PRECISION", precision)
    monkeypatch.setenv("CHATTERQUEUE_VERIFICATION", "stamp")
    monkeypatch.setenv("CHATTERQUEUE_REQUIRE_LOCK", "true")
    settings = WorkerSettings.load()
    assert (settings.precision, settings.verification, settings.require_lock) == (precision, "stamp", True)


@pytest.mark.parametrize(
    ("name", "value"), [("PRECISION", "fp16"), ("VERIFICATION", "none"), ("REQUIRE_LOCK", "maybe")]
)
def test_a_word_that_is_none_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"CHATTERQUEUE_{name}", value)
    with pytest.raises(SettingsError, match=f"CHATTERQUEUE_{name}"):
        WorkerSettings.load()
