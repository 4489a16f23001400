"""Covers fetched for a file: what is not right is left out and named in the log."""

from __future__ import annotations

import hashlib
import logging

import pytest
from pictures import jpeg, png

from producer.contract.keys import cover_key
from producer.storage import ObjectNotFoundError
from worker.audio.cover import cover


class Store:
    def __init__(self, data: bytes | None) -> None:
        self._data = data
        self.asked: list[str] = []

    def get(self, key: str) -> bytes:
        self.asked.append(key)
        if self._data is None:
            raise ObjectNotFoundError(key)
        return self._data


@pytest.mark.parametrize("picture", [png(), jpeg()], ids=["png", "jpeg"])
def test_a_cover_is_what_its_name_says(picture: bytes) -> None:
    sha256 = hashlib.sha256(picture).hexdigest()
    store = Store(picture)
    assert cover(store, sha256) == picture
    assert store.asked == [cover_key(sha256)]


@pytest.mark.parametrize(
    ("data", "reason"), [(None, "gone"), (b"GIF89a", "cover_format"), (png(), "other_content"), (b"", "cover_format")]
)
def test_any_other_is_left_out_and_named(data: bytes | None, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert cover(Store(data), "0" * 64) is None
    (record,) = caplog.records
    assert record.message == "cover_left_out"
    assert vars(record)["reason"] == reason
