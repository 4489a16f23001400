"""Decides which take of a segment is kept: the first without a fault, or the best of a few.

Knows nothing of leases, files or the ledger: how a take is made and how long to wait for a recognizer it is told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from producer.contract.narration import EngineName
from worker.engine.request import SegmentRequest, Take, segment_seed
from worker.errors import EngineFaultError, EngineUnavailableError, SynthesisError
from worker.quality.examiner import Examiner, Verdict
from worker.quality.finding import Finding
from worker.quality.record import TakeRecord

logger = logging.getLogger(__name__)

SIGNAL: Final = "signal"
ASR: Final = "asr"

#: Engines that do not speak: their sounds are no speech, and none of the checks says anything of them.
UNCHECKED: Final = frozenset({EngineName.TONE})

#: In what a take differs from its text, as soon as it was listened to.
Heard = Future[tuple[Finding, ...]]

#: Share of a take's level that another may differ by and still be the same: some engines draw noise from the seed, and
#: nothing that is heard.
_SAME_SHARE: Final = 0.1


class Hearing(Protocol):
    """A speech recognizer (`worker.quality.asr.Recognizer`)."""

    def understands(self, language: str) -> bool:
        """Return whether it was trained on a language."""
        ...

    def submit(self, pcm: NDArray[np.float32], rate_hz: int, *, text: str, language: str) -> Heard:
        """Queue a take [num_samples]; the future says in what it differs from its text.

        The future fails with an EngineUnavailableError if the recognizer cannot be used after all.
        """
        ...

    def close(self) -> None:
        """Take no more; what waits is cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """The take that is kept, and why."""

    take: Take
    record: TakeRecord
    #: Seconds of the engine's time that all takes took together.
    synthesis_s: float


@dataclass(frozen=True, slots=True)
class Stage:
    """Whatever a gate needs of its surroundings for one segment."""

    request: SegmentRequest
    #: Engine, model, revision and precision.
    identity: str
    wants_asr: bool
    #: Speaks a request with another seed and returns when that is done.
    speak: Callable[[SegmentRequest], Take]
    #: Waits for the recognizer.
    wait: Callable[[Heard], tuple[Finding, ...]]

    @property
    def voice(self) -> str:
        """What the habits of a voice are remembered by."""
        request = self.request
        return f"{self.identity} {request.voice.sha256 if request.voice else ''} {request.parameters.model_dump_json()}"


class Gate:
    """The gate of one process. Safe for use from many threads."""

    def __init__(self, *, max_retakes: int, hearing: Hearing | None = None) -> None:
        """Take how often a failing segment is spoken once more, and what hears words, if anything does."""
        self._max_retakes = max_retakes
        self._hearing = hearing
        self._examiner = Examiner()
        #: Identities of engines whose takes do not change with the seed, as was found out.
        self._seedless: set[str] = set()

    @property
    def can_hear(self) -> bool:
        """Whether words can be checked here."""
        return self._hearing is not None

    def close(self) -> None:
        """Let go of the recognizer."""
        if self._hearing is not None:
            self._hearing.close()

    def checks_for(self, stage: Stage) -> tuple[str, ...]:
        """Return which checks a segment goes through; the recognizer is left out for languages it does not know."""
        if stage.wants_asr and self._hearing is not None and self._hearing.understands(stage.request.language):
            return (SIGNAL, ASR)
        return (SIGNAL,)

    def choose(self, stage: Stage, first: Take, *, num_made: int = 1) -> Choice:
        """Return the take to keep: `first`, or a better one that is made now.

        Args:
            stage: the segment.
            first: a take that was made already.
            num_made: takes that were made so far; the seeds of those to come go on from there.

        Raises:
            EngineFaultError: the engine broke in a second take. Whatever `speak` and `wait` raise comes through too,
                but for a `SynthesisError`: then there is one take less to choose from.
        """
        best, verdict = first, self._examine(stage, first)
        synthesis_s, number = first.synthesis_s, num_made
        while verdict.findings and number <= self._max_retakes and stage.identity not in self._seedless:
            take = self._retake(stage, number)
            number += 1
            if take is None:
                continue
            synthesis_s += take.synthesis_s
            if is_same_sound(take.pcm, first.pcm):
                self._seedless.add(stage.identity)
                logger.info("seed_without_effect", extra={"engine_identity": stage.identity})
                break
            other = self._examine(stage, take)
            if not other.findings or other.score > verdict.score:
                best, verdict = take, other
        record = TakeRecord(
            checks=self.checks_for(stage), flags=verdict.flags, score=verdict.score, seed=best.seed, num_takes=number
        )
        return Choice(best, record, synthesis_s)

    def _retake(self, stage: Stage, number: int) -> Take | None:
        seed = retake_seed(stage.request.seed, number)
        try:
            return stage.speak(replace(stage.request, seed=seed))
        except (EngineFaultError, EngineUnavailableError):
            raise
        except SynthesisError as error:
            logger.info("retake_failed", extra={"code": error.code, "take": number})
            return None

    def _examine(self, stage: Stage, take: Take) -> Verdict:
        request = stage.request
        verdict = self._examiner.examine(
            take.pcm,
            take.sample_rate_hz,
            text=request.text,
            language=request.language,
            voice=stage.voice,
            tokens=take.tokens,
        )
        if ASR not in self.checks_for(stage) or self._hearing is None or not np.isfinite(take.pcm).all():
            return verdict
        heard = self._hearing.submit(take.pcm, take.sample_rate_hz, text=request.text, language=request.language)
        return verdict.joined(stage.wait(heard))


def retake_seed(seed: int, number: int) -> int:
    """Return the seed of a segment's take `number`, from 1; none is among those that an engine tries by itself."""
    return segment_seed(seed, f"retake {number}")


def is_same_sound(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Return whether two takes [num_samples] would be heard as the same one."""
    if len(one) != len(other):
        return False
    difference = float(np.mean(np.square(one - other)))
    return difference <= _SAME_SHARE**2 * float(np.mean(np.square(one)))
