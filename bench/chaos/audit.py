"""Checks the invariants of docs/reliability.md from Redis, S3 and our own log of what was acknowledged, nothing else.

Knows nothing of faults: it looks when all is quiet.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import boto3
from botocore.config import Config

from bench.chaos.book import CANARY, Book, hashes_in
from bench.chaos.engine import POISONS
from producer.connection import connect_redis
from producer.contract.keys import RedisKeys, audio_key, manifest_key, takes_key
from producer.contract.manifest import Manifest
from producer.contract.narration import AudioFormat
from producer.contract.settings import Settings
from producer.contract.status import STATES_WITH_AUDIO, NarrationStatus, State
from producer.ledger import Ledger
from producer.storage import ObjectNotFoundError, ObjectStore

#: Claims of one segment that the product allows by itself.
MAX_ATTEMPTS = 4

#: Claims of one segment that may end with the process's death.
MAX_KILLS = 2

Log = list[dict[str, Any]]


@dataclass(slots=True)
class Finding:
    """What an audit came to."""

    num_terminal: int = 0
    num_lost: int = 0
    num_doubled_effects: int = 0
    #: Results that came too late and were refused.
    num_rejected: int = 0
    #: Segments that nothing was wrong with and that are missing from the audio, named by the manifest.
    num_innocent_gaps: int = 0
    #: Unfinished uploads, and objects of narrations that nobody knows.
    num_orphans: int = 0
    violations: list[str] = field(default_factory=list)
    #: What happened to every narration's items.
    logs: dict[str, Log] = field(default_factory=dict)


def audit(
    settings: Settings,
    acknowledged: Mapping[str, Book],
    *,
    seen_ends: Mapping[str, State],
    are_gaps_allowed: bool = False,
    max_attempts: int = MAX_ATTEMPTS,
    is_log_whole: bool = True,
) -> Finding:
    """Check every narration whose submit was acknowledged.

    Args:
        settings: of the farm, past all proxies.
        acknowledged: narration id -> what is to be heard.
        seen_ends: final states that were seen before; none may have changed.
        are_gaps_allowed: whether the row itself uses up attempts; else a gap that is no poison's is a violation.
        max_attempts: claims of one segment that the row's workers allow.
        is_log_whole: whether Redis has kept the log of what happened; else it may hold less than was accepted.
    """
    finding = _Audit(
        settings,
        acknowledged,
        seen_ends,
        are_gaps_allowed=are_gaps_allowed,
        max_attempts=max_attempts,
        is_log_whole=is_log_whole,
    ).run()
    if find_spec("producer.audit") is not None:
        finding.violations += _violations_by_product(settings, list(acknowledged), max_attempts)
    return finding


def _violations_by_product(settings: Settings, acknowledged_ids: list[str], max_attempts: int) -> list[str]:
    """Return what `chatterqueue audit` finds: it looks at the places in Redis and at leftovers more closely."""
    product = import_module("producer.audit")
    scope = product.Scope(
        is_at_rest=True,
        acknowledged_ids=acknowledged_ids,
        canary=CANARY,
        max_attempts=max_attempts,
        max_deaths=max_attempts if max_attempts > MAX_ATTEMPTS else MAX_KILLS,
    )
    auditor = product.Audit(settings)
    try:
        return [f"audit: {violation}" for violation in auditor.run(scope).violations]
    finally:
        auditor.close()


class _Audit:
    """One look at everything."""

    def __init__(
        self,
        settings: Settings,
        acknowledged: Mapping[str, Book],
        seen_ends: Mapping[str, State],
        *,
        are_gaps_allowed: bool,
        max_attempts: int,
        is_log_whole: bool,
    ) -> None:
        self._settings = settings
        self._acknowledged = acknowledged
        self._seen_ends = seen_ends
        self._are_gaps_allowed = are_gaps_allowed
        self._max_attempts = max_attempts
        self._is_log_whole = is_log_whole
        self._redis = connect_redis(settings)
        self._ledger = Ledger(self._redis, settings)
        self._store = ObjectStore.connect(settings, read_timeout_s=30)
        self._finding = Finding()

    def run(self) -> Finding:
        ids = list(self._acknowledged)
        self._objects = set(self._store.list_keys())
        for narration_id, status in zip(ids, self._ledger.read(ids), strict=True):
            if status is None:
                self._finding.num_lost += 1
                self._violate("I1", narration_id, "was acknowledged and is not known")
            else:
                self._check(narration_id, status)
        self._check_redis()
        self._check_orphans()
        return self._finding

    def _violate(self, invariant: str, narration_id: str, what: str) -> None:
        self._finding.violations.append(f"{invariant} {narration_id} {what}".strip())

    def _check(self, narration_id: str, status: NarrationStatus) -> None:
        if not status.state.is_terminal:
            self._finding.num_lost += 1
            self._violate("I1", narration_id, f"has not ended: {status.state}, {status.num_done}/{status.num_segments}")
            return
        self._finding.num_terminal += 1
        seen = self._seen_ends.get(narration_id, status.state)
        if seen is not status.state:
            self._violate("I2", narration_id, f"had ended as {seen} and is now {status.state}")
        if status.state in STATES_WITH_AUDIO:
            self._check_counts(narration_id, status)
            self._check_audio(narration_id, status)
        if status.state is not State.CANCELLED:
            self._check_log(narration_id, status)

    def _check_counts(self, narration_id: str, status: NarrationStatus) -> None:
        total = len(self._acknowledged[narration_id].paragraphs)
        if status.num_done + status.num_failed != total or status.num_segments != total:
            counts = f"{status.num_done} + {status.num_failed} of {status.num_segments}, {total} were handed in"
            self._violate("I3", narration_id, counts)
        if status.state is State.SUCCEEDED and status.num_failed:
            self._violate("I3", narration_id, f"succeeded with {status.num_failed} segments failed")

    def _check_audio(self, narration_id: str, status: NarrationStatus) -> None:
        book = self._acknowledged[narration_id]
        try:
            manifest = Manifest.model_validate_json(self._store.get(manifest_key(narration_id)))
            audio = self._store.get(audio_key(narration_id, AudioFormat(status.format)))
        except ObjectNotFoundError as error:
            self._finding.num_lost += 1
            self._violate("I4", narration_id, str(error))
            return
        if [segment.index for segment in manifest.segments] != list(range(len(book.paragraphs))):
            self._violate("I4", narration_id, "its manifest does not hold every index once, in order")
            return
        if manifest.audio is None or hashlib.sha256(audio).hexdigest() != manifest.audio.sha256:
            self._violate("I4", narration_id, "its audio is not the one of its manifest")
        present = [segment for segment in manifest.segments if segment.is_present]
        if hashes_in(audio) != [book.hashes[segment.index] for segment in present]:
            self._finding.num_lost += 1
            self._violate("I4", narration_id, "its audio does not say what its manifest names, in order")
        gone = [segment.index for segment in present if segment.key not in self._objects]
        if gone:
            self._violate("I4", narration_id, f"the stored segments {gone[:5]} are not there")
        self._check_gaps(narration_id, book, manifest)
        most = max((segment.attempts for segment in manifest.segments), default=0)
        if most > self._max_attempts:
            self._violate("I8", narration_id, f"a segment was claimed {most} times")

    def _check_gaps(self, narration_id: str, book: Book, manifest: Manifest) -> None:
        gaps = [
            segment.index
            for segment in manifest.segments
            if not segment.is_present and not any(word in book.paragraphs[segment.index] for word in POISONS)
        ]
        self._finding.num_innocent_gaps += len(gaps)
        if gaps and not self._are_gaps_allowed:
            codes = {manifest.segments[index].error_code for index in gaps}
            self._violate("P5", narration_id, f"{len(gaps)} sound segments were given up: {codes}")

    def _check_log(self, narration_id: str, status: NarrationStatus) -> None:
        try:
            lines = self._store.get(takes_key(narration_id)).splitlines()
            log: Log = [json.loads(line) for line in lines]
        except ObjectNotFoundError:
            log = self._ledger.log(narration_id)
        self._finding.logs[narration_id] = log
        self._finding.num_rejected += sum(entry["event"] == "rejected" for entry in log)
        accepted: Counter[str] = Counter()
        for entry in log:
            if entry["event"] == "completed":
                accepted[entry["item"]] += 1
            elif entry["event"] == "reopened":  # its audio was lost: the next result is no second one
                accepted[entry["item"]] -= 1
        twice = [item for item, count in accepted.items() if count > 1]
        self._finding.num_doubled_effects += len(twice)
        if twice:
            self._violate("I5", narration_id, f"two results were accepted of the segments {twice[:5]}")
        is_whole = self._is_log_whole and status.state in STATES_WITH_AUDIO
        if is_whole and sum(accepted.values()) != status.num_done:
            self._violate("I5", narration_id, f"{status.num_done} segments done, {sum(accepted.values())} accepted")

    def _check_redis(self) -> None:
        keys = RedisKeys(self._settings.redis_prefix)
        for narration_id in self._acknowledged:
            for key in (keys.leases(narration_id), keys.waiting(narration_id), keys.tokens(narration_id)):
                status = self._ledger.read([narration_id])[0]
                if status is not None and status.state.is_terminal and self._redis.exists(key):
                    self._violate("I9", narration_id, f"has ended and left {key} behind")
        for key in self._redis.scan_iter(match=f"{self._settings.redis_prefix}*", count=1_000):
            if CANARY.encode() in (self._redis.dump(key) or b""):
                self._violate("I12", "", f"the text is in Redis: {key.decode()}")

    def _check_orphans(self) -> None:
        for key in self._objects:
            top, _, rest = key.partition("/")
            if top == "narrations" and rest.split("/")[0] not in self._acknowledged:
                self._finding.num_orphans += 1
        uploads = unfinished_uploads(self._settings)
        self._finding.num_orphans += len(uploads)
        if uploads:
            self._violate("I7", "", f"{len(uploads)} uploads are unfinished: {uploads[0]}")


def unfinished_uploads(settings: Settings) -> list[str]:
    """Return the keys of multipart uploads that nobody has ended."""
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        region_name=settings.s3_region,
        config=Config(s3={"addressing_style": "path"}),
    )
    answer = client.list_multipart_uploads(Bucket=settings.s3_bucket, Prefix=settings.s3_prefix)
    return [upload["Key"] for upload in answer.get("Uploads", [])]
