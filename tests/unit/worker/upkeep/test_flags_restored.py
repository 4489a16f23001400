"""What the quality gate said of a take is in its file, so it survives the loss of the ledger."""

from __future__ import annotations

import numpy as np
from workerfakes import plan_of, request_of

from producer.contract.keys import segment_key
from producer.contract.manifest import TakeFacts
from worker.codec import SegmentCodec
from worker.narration.recipe import Recipe
from worker.quality import TakeRecord
from worker.upkeep.storedtakes import _request, stored_takes

IDENTITY = "draft/1"
RECORD = TakeRecord(checks=("signal",), flags=("doubled",), score=0.2, seed=5, num_takes=3)


class Files(dict[str, bytes]):
    """The bucket."""

    def get_begin(self, key: str, num_bytes: int) -> bytes:
        return self[key][:num_bytes]


def test_a_flagged_take_is_found_with_its_flags():
    recipe = Recipe.of(request_of(), plan_of("One.", "Two."))
    pcm = np.random.default_rng(0).uniform(-1, 1, 40_000).astype(np.float32)
    keys = [segment_key(_request(recipe, index).content_hash(IDENTITY)) for index in (0, 1)]
    codec = SegmentCodec()
    flagged, unchecked = codec.encode(pcm, 24_000, RECORD.comment()), codec.encode(pcm, 24_000, None)
    files = Files(zip(keys, (flagged, unchecked), strict=True))
    takes: dict[int, TakeFacts] = {}
    for found in stored_takes(files, recipe, IDENTITY, "host:1"):
        takes |= found
    assert (takes[0].flags, takes[0].score, takes[0].num_takes, takes[0].seed) == (("doubled",), 0.2, 3, 5)
    assert takes[0].num_samples == 40_000
    assert (takes[1].flags, takes[1].score, takes[1].seed) == ((), None, _request(recipe, 1).seed)
