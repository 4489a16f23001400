"""Puts a narration's audio together once every segment has ended, and gives it its final state.

If stored segments turn out to be lost, they are given back instead and the narration goes on.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from producer.contract.errors import NarrationNotFoundError
from producer.contract.keys import audio_key, manifest_key, request_key, takes_key
from producer.contract.manifest import AudioObject, Manifest, ManifestSegment, TakeFacts, Usage
from producer.contract.narration import AudioFormat, NarrationRequest
from producer.contract.plan import Plan
from producer.contract.status import State
from producer.ledger import Dispatch, Ledger
from worker.errors import SegmentsUnusableError
from worker.narration.attempt import Attempts
from worker.narration.lease import Lease
from worker.narration.ports import Store
from worker.narration.records import read_plan, read_request

logger = logging.getLogger(__name__)

#: States in which whatever an assembly has stored is of no use.
_UNWANTED: Final = frozenset({State.CANCELLED, State.EXPIRED})

JSON: Final = "application/json"
JSON_LINES: Final = "application/x-ndjson"


class Assembled(Protocol):
    """What came of an assembly (`worker.audio.Assembly`)."""

    @property
    def audio(self) -> AudioObject | None:
        """The finished audio; None if no segment has any."""
        ...

    @property
    def segments(self) -> tuple[ManifestSegment, ...]:
        """Every segment's place in it."""
        ...


class Assemble(Protocol):
    """Joins takes into one audio object (`worker.audio.assemble`)."""

    def __call__(  # noqa: D102
        self,
        plan: Plan,
        takes: Mapping[int, TakeFacts],
        failures: Mapping[int, tuple[str, str]],
        attempts: Mapping[str, int],
        store: Any,
        *,
        audio_format: AudioFormat,
        title: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Assembled: ...


class Assembler:
    """The work of the item `assemble`."""

    def __init__(self, *, attempts: Attempts, ledger: Ledger, store: Store, assemble: Assemble) -> None:
        self._attempts = attempts
        self._ledger = ledger
        self._store = store
        self._assemble = assemble

    def run(self, narration_id: str) -> None:
        """Attempt to assemble a narration.

        Raises:
            DrainingError: as `Attempts.run`.
            QueueUnavailableError: as `Attempts.run`.
        """
        self._attempts.run(narration_id, "assemble", self._finish_or_reopen)

    def _finish_or_reopen(self, lease: Lease) -> Dispatch | None:
        try:
            self._finish(lease)
        except SegmentsUnusableError as error:
            # They were done once, so nothing is wrong with them: they are spoken again instead of waited for.
            fields = {"num_segments": len(error.indexes), "reason": str(error)}
            logger.warning("segments_reopened", extra={"narration_id": lease.narration_id, **fields})
            return self._ledger.reopen(lease.narration_id, lease.token, error.indexes)
        return None

    def _finish(self, lease: Lease) -> None:
        request = read_request(self._store, request_key(lease.narration_id))
        plan = read_plan(self._store, lease.narration_id)
        takes = self._ledger.takes(lease.narration_id)
        failures = self._ledger.failures(lease.narration_id)
        assembled = self._assemble(
            plan,
            takes,
            failures,
            self._ledger.attempts(lease.narration_id),
            self._store,
            audio_format=request.narration.format,
            title=request.narration.title,
            # Ends a long assembly when the lease is lost or the process has no more time.
            progress=lambda _done, _total: lease.check(),
        )
        state, code, reason = _verdict(len(plan.segments), failures)
        manifest = self._manifest(request, plan, takes, assembled, state)
        self._store.put(manifest_key(lease.narration_id), manifest.model_dump_json().encode(), JSON)
        log = self._ledger.log(lease.narration_id)
        self._store.put(takes_key(lease.narration_id), _json_lines(log), JSON_LINES)
        is_committed = self._ledger.commit(
            lease.narration_id, lease.token, state=state, audio=assembled.audio, reason_code=code, reason=reason
        )
        if is_committed:
            audio_s = round(assembled.audio.duration_s, 3) if assembled.audio else 0.0
            fields = {"narration_id": lease.narration_id, "state": state.value, "audio_s": audio_s}
            logger.info("narration_finished", extra=fields)
        elif self._is_unwanted(lease.narration_id):
            # Nobody will ask for it. A commit that lost to another assembly leaves that one's objects alone.
            for key in (audio_key(lease.narration_id, request.narration.format), manifest_key(lease.narration_id)):
                self._store.delete(key)

    def _is_unwanted(self, narration_id: str) -> bool:
        try:
            return self._ledger.record(narration_id).state in _UNWANTED
        except NarrationNotFoundError:  # deleted
            return True

    def _manifest(
        self,
        request: NarrationRequest,
        plan: Plan,
        takes: Mapping[int, TakeFacts],
        assembled: Assembled,
        state: State,
    ) -> Manifest:
        narration = request.narration
        engine_identity = self._ledger.record(request.id).engine_identity
        return Manifest(
            narration_id=request.id,
            custom_id=narration.custom_id,
            title=narration.title,
            state=state,
            engine_identity=engine_identity,
            usage=Usage.of(takes.values(), engine_identity),
            is_watermarked=bool(takes) and all(take.is_watermarked for take in takes.values()),
            voice=narration.voice,
            voice_sha256=request.voice_sha256,
            language=narration.language,
            text_sha256=plan.text_sha256,
            num_chars=plan.num_chars,
            created_at=request.submitted_at,
            audio=assembled.audio,
            segments=assembled.segments,
        )


def _verdict(num_segments: int, failures: Mapping[int, tuple[str, str]]) -> tuple[State, str | None, str | None]:
    """Return the final state, and why if it is not the best one."""
    if not failures:
        return State.SUCCEEDED, None, None
    code, reason = failures[min(failures)]
    if len(failures) < num_segments:
        return State.PARTIAL, code, f"{len(failures)} of {num_segments} segments failed, the first because: {reason}"
    return State.FAILED, code, f"every segment failed, the first because: {reason}"


def _json_lines(entries: Any) -> bytes:
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries).encode()
