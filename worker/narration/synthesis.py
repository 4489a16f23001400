"""Speaks one segment: finds its audio in the segment cache or makes it, has it checked, stores it, tells the ledger.

Knows nothing of what makes a take good.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from producer.contract.errors import ChatterqueueError, NotFoundError, QueueUnavailableError, StorageUnavailableError
from producer.contract.keys import segment_key
from producer.contract.manifest import TakeFacts
from producer.contract.narration import QualityGate
from producer.ledger import Dispatch, Ledger
from producer.storage import retrying
from worker.audio.words import Words, words_in
from worker.audio.wordtimes import words_of
from worker.engine.protocol import Engine
from worker.engine.request import SegmentRequest, Take, VoiceReference
from worker.errors import AssemblyError, EngineUnavailableError
from worker.narration.attempt import Attempts
from worker.narration.lease import Lease
from worker.narration.lookout import LOOK_S, Lookout
from worker.narration.ports import Engines, Store
from worker.narration.recipe import RecipeShelf
from worker.quality import UNCHECKED, Choice, Gate, Stage, TakeRecord

logger = logging.getLogger(__name__)

#: Seconds that the upload of a finished take is tried again: it must not be synthesized twice because S3 restarts.
UPLOAD_PATIENCE_S: Final = 120.0

#: From this attempt on a segment is spoken alone: whatever ended the ones before may have been its fault.
SUSPECT_ATTEMPT: Final = 3

FLAC: Final = "audio/flac"


class Voices(Protocol):
    """Reference audio on this machine's disk (`worker.voices.VoiceShelf`)."""

    def reference(self, sha256: str) -> VoiceReference: ...  # noqa: D102

    def fetch(self, reference: VoiceReference) -> None: ...  # noqa: D102


class Stored(Protocol):
    """A segment's file, read (`worker.codec.StoredSegment`)."""

    @property
    def pcm(self) -> NDArray[np.float32]: ...  # noqa: D102

    @property
    def sample_rate_hz(self) -> int: ...  # noqa: D102

    @property
    def comment(self) -> str | None: ...  # noqa: D102


class Codec(Protocol):
    """Segments as files (`worker.codec`)."""

    def encode(self, pcm: NDArray[np.float32], sample_rate_hz: int, comment: str | None) -> bytes:
        """Return a take as a file."""
        ...

    def read(self, data: bytes) -> Stored:
        """Return what is in a file; AssemblyError if it is no audio."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """One segment, ready to be spoken by one engine."""

    index: int
    request: SegmentRequest
    engine: Engine
    #: What decides the sound beside the request.
    identity: str
    #: Where its audio lies in S3: a hash of all that decides how it sounds. Its seed is that of the first take, even if
    #: another one is kept: whoever asks for the same finds what was chosen then.
    key: str
    wants_asr: bool

    @property
    def is_checked(self) -> bool:
        """Whether what its engine makes is speech."""
        return self.engine.name not in UNCHECKED


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
        gate: Gate,
        worker: str,
    ) -> None:
        self._attempts = attempts
        self._ledger = ledger
        self._store = store
        self._engines = engines
        self._voices = voices
        self._recipes = recipes
        self._codec = codec
        self._gate = gate
        self._lookout = Lookout()
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
        key = segment_key(request.content_hash(identity))
        part = Part(index, request, engine, identity, key, wants_asr=recipe.quality is QualityGate.ASR)
        if part.wants_asr and part.is_checked and not self._gate.can_hear:
            raise EngineUnavailableError("it waits for a worker with speech recognition (the extra `asr` and a model)")
        return part

    def _speak(self, lease: Lease, part: Part) -> Dispatch:
        facts = self._reuse(lease, part) or self._synthesize(lease, part)
        dispatch = self._ledger.complete(lease.narration_id, part.index, lease.token, facts)
        fields = {
            "narration_id": lease.narration_id,
            "segment_index": part.index,
            "attempt": lease.attempt,
            "is_accepted": dispatch.is_accepted,
            "is_reused": facts.is_reused,
            "audio_s": round(facts.num_samples / facts.sample_rate_hz, 3),
            "synthesis_s": round(facts.synthesis_s, 3),
            "num_takes": facts.num_takes,
            "flags": list(facts.flags),
        }
        logger.info("take_finished", extra=fields)
        return dispatch

    def _reuse(self, lease: Lease, part: Part) -> TakeFacts | None:
        """Return the take that is in the cache, checked now if it was not, or less than this narration asks for."""
        try:
            stored = self._codec.read(self._store.get(part.key))
        except NotFoundError:
            return None
        except AssemblyError as error:  # made anew and written over
            logger.warning("cached_segment_unusable", extra={"key": part.key, "reason": str(error)})
            return None
        record = TakeRecord.parse(stored.comment)
        take = Take(
            pcm=stored.pcm,
            sample_rate_hz=stored.sample_rate_hz,
            seed=part.request.seed if record is None else record.seed,
            synthesis_s=0.0,
            is_watermarked=part.engine.is_watermarked,
        )
        stage = self._stage(lease, part)
        if not part.is_checked or (record is not None and {*self._gate.checks_for(stage)} <= {*record.checks}):
            return self._facts(part, take, record, synthesis_s=0.0, is_reused=True)
        choice = self._gate.choose(stage, take, num_made=1 if record is None else record.num_takes)
        # Of a take from the cache all that is known of its words is what was written when it was made.
        words = words_in(stored.comment) if choice.take is take else None
        return self._keep(lease, part, choice, is_reused=choice.take is take, words=words)

    def _synthesize(self, lease: Lease, part: Part) -> TakeFacts:
        stage = self._stage(lease, part)
        take = stage.speak(part.request)
        if part.is_checked:
            return self._keep(lease, part, self._gate.choose(stage, take), is_reused=False)
        self._put(lease, part, take, None)
        return self._facts(part, take, None, synthesis_s=take.synthesis_s, is_reused=False)

    def _stage(self, lease: Lease, part: Part) -> Stage:
        def speak(request: SegmentRequest) -> Take:
            if request.voice is not None:
                self._voices.fetch(request.voice)
            future = part.engine.submit(replace(request, is_suspect=lease.attempt >= SUSPECT_ATTEMPT))
            return self._lookout.wait(future, lease)

        return Stage(part.request, part.identity, part.wants_asr, speak, lambda heard: self._lookout.wait(heard, lease))

    def _keep(
        self, lease: Lease, part: Part, choice: Choice, *, is_reused: bool, words: Words | None = None
    ) -> TakeFacts:
        said = words_of(choice.take, part.request.text) if words is None else words
        self._put(lease, part, choice.take, choice.record.with_words(said))
        return self._facts(part, choice.take, choice.record, synthesis_s=choice.synthesis_s, is_reused=is_reused)

    def _put(self, lease: Lease, part: Part, take: Take, record: TakeRecord | None) -> None:
        data = self._codec.encode(take.pcm, take.sample_rate_hz, None if record is None else record.comment())
        retrying(
            lambda: self._store.put(part.key, data, FLAC),
            deadline_s=UPLOAD_PATIENCE_S,
            is_refusal_final=False,
            sleep=_pause_under(lease),
        )

    def _facts(
        self, part: Part, take: Take, record: TakeRecord | None, *, synthesis_s: float, is_reused: bool
    ) -> TakeFacts:
        facts = TakeFacts(
            key=part.key,
            num_samples=len(take.pcm),
            sample_rate_hz=take.sample_rate_hz,
            seed=take.seed,
            is_reused=is_reused,
            is_watermarked=part.engine.is_watermarked,
            synthesis_s=synthesis_s,
            worker=self._worker,
        )
        return facts if record is None else facts.model_copy(update=record.facts())


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
