"""Speaks one segment: finds its audio in the segment cache or makes it, stores it, and tells the ledger."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from typing import Final, Protocol

from producer.contract.errors import ChatterqueueError, NotFoundError, QueueUnavailableError, StorageUnavailableError
from producer.contract.keys import segment_key
from producer.contract.manifest import TakeFacts
from producer.ledger import Dispatch, Ledger
from producer.storage import retrying
from worker.engine.batching.takefuture import TakeFuture
from worker.engine.protocol import Engine
from worker.engine.request import SegmentRequest, Take, VoiceReference
from worker.errors import AssemblyError, DrainingError
from worker.narration.attempt import Attempts
from worker.narration.lease import Lease
from worker.narration.ports import Engines, Store
from worker.narration.recipe import RecipeShelf

logger = logging.getLogger(__name__)

#: Seconds between two looks at whether the process is going down or the lease was lost.
LOOK_S: Final = 0.25

#: Seconds that the upload of a finished take is tried again: it must not be synthesized twice because S3 restarts.
UPLOAD_PATIENCE_S: Final = 120.0

#: From this attempt on a segment is spoken alone: whatever ended the ones before may have been its fault.
SUSPECT_ATTEMPT: Final = 3

FLAC: Final = "audio/flac"


class Voices(Protocol):
    """Reference audio on this machine's disk (`worker.voices.VoiceShelf`)."""

    def reference(self, sha256: str) -> VoiceReference: ...  # noqa: D102

    def fetch(self, reference: VoiceReference) -> None: ...  # noqa: D102


class Codec(Protocol):
    """Segments as files (`worker.audio`)."""

    def encode(self, take: Take) -> bytes:
        """Return a take as a file."""
        ...

    def length(self, data: bytes) -> tuple[int, int]:
        """Return a file's samples and samples per second; AssemblyError if it is no audio."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """One segment, ready to be spoken by one engine."""

    index: int
    request: SegmentRequest
    engine: Engine
    #: What decides the sound beside the request.
    identity: str
    #: Where its audio lies in S3: a hash of all that decides how it sounds.
    key: str


class Synthesizer:
    """The work of the items `0`, `1`, ..."""

    def __init__(
        self,
        *,
        attempts: Attempts,
        ledger: Ledger,
        store: Store,
        engines: Engines,
        voices: Voices,
        recipes: RecipeShelf,
        codec: Codec,
        worker: str,
    ) -> None:
        self._attempts = attempts
        self._ledger = ledger
        self._store = store
        self._engines = engines
        self._voices = voices
        self._recipes = recipes
        self._codec = codec
        self._worker = worker

    def run(self, narration_id: str, index: int) -> None:
        """Attempt to speak a segment.

        Raises:
            DrainingError: as `Attempts.run`.
            QueueUnavailableError: as `Attempts.run`.
            StorageUnavailableError: what is to be spoken could not be read; nothing was claimed.
        """
        try:
            part = self._part(narration_id, index)
        except (QueueUnavailableError, StorageUnavailableError):
            raise
        except ChatterqueueError as error:
            # Only who holds the item may say what is wrong with it; without an engine's identity nothing is pinned.
            self._attempts.run(narration_id, str(index), _raiser(error))
            return
        self._attempts.run(
            narration_id, str(index), lambda lease: self._speak(lease, part), engine_identity=part.identity
        )

    def _part(self, narration_id: str, index: int) -> Part:
        recipe = self._recipes.get(narration_id)
        spoken = recipe.segment(index)
        engine = self._engines.get(recipe.engine)
        request = SegmentRequest(
            text=spoken.text,
            language=recipe.language,
            model=recipe.model,
            voice=self._voices.reference(spoken.voice_sha256) if spoken.voice_sha256 else None,
            parameters=recipe.parameters,
            seed=spoken.seed,
            priority=recipe.priority,
        )
        identity = engine.identity(recipe.model)
        return Part(index, request, engine, identity, segment_key(request.content_hash(identity)))

    def _speak(self, lease: Lease, part: Part) -> Dispatch:
        facts = self._reuse(part) or self._synthesize(lease, part)
        dispatch = self._ledger.complete(lease.narration_id, part.index, lease.token, facts)
        fields = {
            "narration_id": lease.narration_id,
            "segment_index": part.index,
            "attempt": lease.attempt,
            "is_accepted": dispatch.is_accepted,
            "is_reused": facts.is_reused,
            "audio_s": round(facts.num_samples / facts.sample_rate_hz, 3),
            "synthesis_s": round(facts.synthesis_s, 3),
        }
        logger.info("take_finished", extra=fields)
        return dispatch

    def _reuse(self, part: Part) -> TakeFacts | None:
        try:
            num_samples, sample_rate_hz = self._codec.length(self._store.get(part.key))
        except NotFoundError:
            return None
        except AssemblyError as error:  # made anew and written over
            logger.warning("cached_segment_unusable", extra={"key": part.key, "reason": str(error)})
            return None
        return self._facts(part, num_samples, sample_rate_hz, seed=part.request.seed)

    def _synthesize(self, lease: Lease, part: Part) -> TakeFacts:
        if part.request.voice is not None:
            self._voices.fetch(part.request.voice)
        request = replace(part.request, is_suspect=lease.attempt >= SUSPECT_ATTEMPT)
        take = _wait(part.engine.submit(request), lease)
        data = self._codec.encode(take)
        retrying(
            lambda: self._store.put(part.key, data, FLAC),
            deadline_s=UPLOAD_PATIENCE_S,
            is_refusal_final=False,
            sleep=_pause_under(lease),
        )
        return self._facts(part, len(take.pcm), take.sample_rate_hz, seed=take.seed, synthesis_s=take.synthesis_s)

    def _facts(
        self, part: Part, num_samples: int, sample_rate_hz: int, *, seed: int, synthesis_s: float | None = None
    ) -> TakeFacts:
        return TakeFacts(
            key=part.key,
            num_samples=num_samples,
            sample_rate_hz=sample_rate_hz,
            seed=seed,
            is_reused=synthesis_s is None,
            is_watermarked=part.engine.is_watermarked,
            synthesis_s=synthesis_s or 0.0,
            worker=self._worker,
        )


def _wait(future: Future[Take], lease: Lease) -> Take:
    """Return the take; give up when the lease is lost, and in a drain at once if it was not begun."""
    while True:
        try:
            return future.result(timeout=LOOK_S)
        except TimeoutError:
            if future.done():  # it ended with a TimeoutError of its own, or just now
                return future.result()
        except CancelledError:  # the engine was closed under us
            raise DrainingError from None
        if lease.drain.is_on and future.cancel():
            raise DrainingError
        try:
            lease.check()
        except ChatterqueueError:
            # Even if it has been begun: an engine that speaks many at once has a better use for the slot.
            future.abandon() if isinstance(future, TakeFuture) else future.cancel()
            raise


def _pause_under(lease: Lease) -> Callable[[float], None]:
    def pause(seconds: float) -> None:
        ends_s = time.monotonic() + seconds
        while (left_s := ends_s - time.monotonic()) > 0:
            lease.check()
            time.sleep(min(left_s, LOOK_S))

    return pause


def _raiser(error: ChatterqueueError) -> Callable[[Lease], Dispatch]:
    def work(_: Lease) -> Dispatch:
        raise error

    return work
