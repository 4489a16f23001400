"""Puts a narration's audio together once every segment has ended, and gives it its final state.

If stored segments turn out to be lost, they are given back instead and the narration goes on.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from producer.contract.errors import NarrationNotFoundError
from producer.contract.keys import (
    audio_key,
    chapter_audio_key,
    cover_key,
    manifest_key,
    request_key,
    subtitles_key,
    takes_key,
)
from producer.contract.loudness import LoudnessTarget
from producer.contract.manifest import Manifest, TakeFacts
from producer.contract.narration import AudioFormat, NarrationRequest
from producer.contract.plan import Plan
from producer.contract.status import State
from producer.ledger import Dispatch, Ledger
from producer.storage import ObjectNotFoundError
from worker.audio import Tags
from worker.errors import LeaseLostError, SegmentsUnusableError
from worker.narration.attempt import Attempts
from worker.narration.lease import Lease
from worker.narration.manifest import (
    TIMING_SUFFIXES,
    Assembled,
    loudness_target,
    manifest_of,
    tags_of,
    timing_files,
)
from worker.narration.ports import Store
from worker.narration.records import read_plan, read_request

logger = logging.getLogger(__name__)

#: States in which whatever an assembly has stored is of no use.
_UNWANTED: Final = frozenset({State.CANCELLED, State.EXPIRED})

JSON: Final = "application/json"
JSON_LINES: Final = "application/x-ndjson"


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
        tags: Tags,
        loudness: LoudnessTarget | None,
        earlier_gain_db: float | None,
        has_chapter_files: bool,
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
        narration_id = lease.narration_id
        request = read_request(self._store, request_key(narration_id))
        plan = read_plan(self._store, narration_id)
        takes = self._ledger.takes(narration_id)
        failures = self._ledger.failures(narration_id)
        engine_identity = self._ledger.record(narration_id).engine_identity
        try:
            assembled = self._assemble(
                plan,
                takes,
                failures,
                self._ledger.attempts(narration_id),
                self._store,
                audio_format=request.narration.format,
                tags=tags_of(request.narration, self._cover(request), takes.values(), engine_identity),
                loudness=loudness_target(request.narration),
                earlier_gain_db=self._earlier_gain_db(request),
                has_chapter_files=request.narration.chapter_files,
                # Ends a long assembly when the lease is lost or the process has no more time.
                progress=lambda _done, _total: lease.check(),
            )
        except LeaseLostError:  # the files of its first chapters may be there already
            self._remove_if_unwanted(request, plan)
            raise
        state, code, reason = _verdict(len(plan.segments), failures)
        manifest = manifest_of(request, plan, takes.values(), assembled, state, engine_identity)
        self._store.put(manifest_key(narration_id), manifest.model_dump_json().encode(), JSON)
        for file in timing_files(manifest, plan, request.narration.text, assembled.words):
            self._store.put(subtitles_key(narration_id, file.suffix), file.data, file.content_type)
        log = self._ledger.log(narration_id)
        self._store.put(takes_key(narration_id), _json_lines(log), JSON_LINES)
        is_committed = self._ledger.commit(
            narration_id, lease.token, state=state, audio=assembled.audio, reason_code=code, reason=reason
        )
        if is_committed:
            audio_s = round(assembled.audio.duration_s, 3) if assembled.audio else 0.0
            fields = {"narration_id": narration_id, "state": state.value, "audio_s": audio_s}
            logger.info("narration_finished", extra=fields)
        else:
            # A commit that lost to another assembly leaves that one's objects alone.
            self._remove_if_unwanted(request, plan)

    def _earlier_gain_db(self, request: NarrationRequest) -> float | None:
        """Return the gain of the narration that is done again, if its manifest is still there."""
        if request.redo_of is None:
            return None
        try:
            earlier = Manifest.model_validate_json(self._store.get(manifest_key(request.redo_of)))
        except (ObjectNotFoundError, ValueError):
            return None
        return earlier.loudness.gain_db if earlier.loudness else None

    def _cover(self, request: NarrationRequest) -> bytes | None:
        if request.narration.cover is None:
            return None
        try:
            return self._store.get(cover_key(request.narration.cover))
        except ObjectNotFoundError:  # a book without its cover is better than no book
            logger.warning("cover_missing", extra={"narration_id": request.id})
            return None

    def _remove_if_unwanted(self, request: NarrationRequest, plan: Plan) -> None:
        """Delete what an assembly has stored if nobody will ask for it."""
        try:
            is_unwanted = self._ledger.record(request.id).state in _UNWANTED
        except NarrationNotFoundError:  # deleted
            is_unwanted = True
        if is_unwanted:
            for key in _stored_keys(request, plan):
                self._store.delete(key)


def _stored_keys(request: NarrationRequest, plan: Plan) -> Iterator[str]:
    """Yield the key of what an assembly may have stored, the ledger's log excepted."""
    yield audio_key(request.id, request.narration.format)
    yield manifest_key(request.id)
    for suffix in TIMING_SUFFIXES:
        yield subtitles_key(request.id, suffix)
    if request.narration.chapter_files:
        for index in range(len(plan.chapters)):
            yield chapter_audio_key(request.id, index, request.narration.format)


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
