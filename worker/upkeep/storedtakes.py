"""Which segments of a narration are in the segment cache, found by their keys; no audio is decoded.

Knows nothing of the ledger. What is here is what a worker would find too when it takes up the segment, so nothing is
synthesized twice if this finds less than there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

from producer.contract.keys import segment_key
from producer.contract.manifest import TakeFacts
from producer.contract.narration import EngineName
from producer.flacfile import COMMENT_BYTES, read_flac_comment, read_flac_header
from producer.ledger import MAX_WINDOW
from producer.storage import ObjectNotFoundError, retrying
from worker.engine.request import SegmentRequest, VoiceReference
from worker.narration.recipe import Recipe
from worker.quality import TakeRecord

#: Segments that are asked for at once; each question takes some ten milliseconds, nearly all of it waiting.
NUM_READERS: Final = 8

#: Segments that are looked up in one step.
STEP: Final = 256

#: Seconds for which S3 may be away in the middle.
PATIENCE_S: Final = 20.0


class Source(Protocol):
    """Where the segments lie (`producer.storage.inventory.BucketInventory`)."""

    def get_begin(self, key: str, num_bytes: int) -> bytes: ...  # noqa: D102


def stored_takes(source: Source, recipe: Recipe, engine_identity: str, worker: str) -> Iterator[dict[int, TakeFacts]]:
    """Yield the takes that are stored, for `STEP` segments at a time, in order.

    Ends where more segments than a window holds are not there: those behind it were not sent yet.

    Args:
        source: the bucket.
        recipe: what is spoken, and how.
        engine_identity: by which engine.
        worker: who looks them up.

    Raises:
        StorageUnavailableError: S3 stayed away.
    """
    is_watermarked = engine_identity.startswith(EngineName.CHATTERBOX.value)

    def look(index: int) -> TakeFacts | None:
        request = _request(recipe, index)
        key = segment_key(request.content_hash(engine_identity))
        try:
            data = retrying(lambda: source.get_begin(key, COMMENT_BYTES), deadline_s=PATIENCE_S)
        except ObjectNotFoundError:
            return None
        header = read_flac_header(data)
        if header is None or not header.num_samples or not header.sample_rate_hz:
            return None
        record = TakeRecord.parse(read_flac_comment(data))
        return TakeFacts(
            key=key,
            num_samples=header.num_samples,
            sample_rate_hz=header.sample_rate_hz,
            seed=request.seed if record is None else record.seed,
            # What it cost was in the record that was lost.
            is_reused=True,
            is_watermarked=is_watermarked,
            synthesis_s=0.0,
            worker=worker,
            **({} if record is None else record.facts()),
        )

    with ThreadPoolExecutor(NUM_READERS, thread_name_prefix="rebuild") as readers:
        num_empty = 0
        for start in range(0, len(recipe.texts), STEP):
            if num_empty * STEP >= MAX_WINDOW:
                return
            indexes = range(start, min(start + STEP, len(recipe.texts)))
            looked_up = zip(indexes, readers.map(look, indexes), strict=True)
            found = {index: take for index, take in looked_up if take is not None}
            num_empty = 0 if found else num_empty + 1
            yield found


def _request(recipe: Recipe, index: int) -> SegmentRequest:
    """Return the request that `worker.narration.synthesis` makes of a segment; the voice's file is not needed here."""
    segment = recipe.segment(index)
    return SegmentRequest(
        text=segment.text,
        language=recipe.language,
        model=recipe.model,
        voice=VoiceReference(segment.voice_sha256, Path()) if segment.voice_sha256 else None,
        parameters=recipe.parameters,
        seed=segment.seed,
    )
