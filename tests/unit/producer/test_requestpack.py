"""Packs of requests: every reference finds its request again."""

from __future__ import annotations

import pytest

from producer import requestpack
from producer.contract import keys
from producer.contract.narration import Narration, NarrationRequest
from producer.requestpack import packs_of


def requests(*texts: str) -> list[NarrationRequest]:
    return [NarrationRequest.new(Narration(text=text), narration_id=keys.new_id(), batch_id="b") for text in texts]


def found(packs: list[requestpack.Pack], ref: str) -> NarrationRequest:
    key, _, span = ref.partition("#")
    offset, _, length = span.partition("+")
    (content,) = [pack.content for pack in packs if pack.key == key]
    return NarrationRequest.model_validate_json(content[int(offset) : int(offset) + int(length)])


@pytest.mark.parametrize("max_bytes", [1, 2_000, 8 * 1024 * 1024])
def test_every_reference_finds_its_request(monkeypatch: pytest.MonkeyPatch, max_bytes: int):
    monkeypatch.setattr(requestpack, "MAX_PACK_BYTES", max_bytes)
    asked = requests("One.", "Zwei, größer.", "三。", "Four. " * 100)
    packs, refs = packs_of(asked, "b")
    assert [found(packs, ref) for ref in refs] == asked
    assert len({pack.key for pack in packs}) == len(packs)
    assert len(packs) == {1: 4, 2_000: 3, 8 * 1024 * 1024: 1}[max_bytes]
    for pack in packs:
        assert pack.content.endswith(b"\n")


def test_no_pack_is_larger_than_allowed_unless_one_request_is():
    packs, _ = packs_of(requests(*["Text. " * 100_000] * 40), "b")
    assert len(packs) > 1
    assert all(len(pack.content) <= requestpack.MAX_PACK_BYTES for pack in packs)
