"""One run over everything: which checks there are, and on what.

Knows nothing of the command line. Reads only; may run beside a farm at work.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from producer.audit.canary import check_canary
from producer.audit.history import check_history
from producer.audit.ledgerview import LedgerView
from producer.audit.leftovers import RecordHead, check_keys, check_objects, check_uploads, narrations_in
from producer.audit.places import check_places
from producer.audit.report import Invariant, Report
from producer.audit.scope import Scope
from producer.audit.segments import PATIENCE_S, SegmentShelf
from producer.audit.wholeness import WholenessCheck
from producer.connection import connect_redis, redis_errors
from producer.contract.keys import RedisKeys, narration_prefix, takes_key
from producer.contract.manifest import Manifest
from producer.contract.settings import Settings
from producer.storage import ObjectNotFoundError, retrying
from producer.storage.inventory import BucketInventory, StoredObject

#: Looks at a narration that changes while it is looked at.
MAX_LOOKS: Final = 4

#: Statuses that are read in one step.
_PAGE: Final = 500

_DAY_S: Final = 86_400.0


class Audit:
    """Checks the invariants under one Redis prefix and one S3 prefix."""

    def __init__(self, settings: Settings) -> None:
        """Connect.

        Raises:
            SettingsError, StorageUnavailableError: the settings cannot be used.
        """
        self._settings = settings
        self._redis = connect_redis(settings, timeout_s=10.0)
        self._keys = RedisKeys(settings.redis_prefix)
        self._store = BucketInventory.connect(settings, read_timeout_s=10.0, max_attempts=3)

    def close(self) -> None:
        """Let go of the connection."""
        self._redis.close()

    def run(self, scope: Scope | None = None) -> Report:
        """Look at everything in the scope and return what was found.

        Raises:
            QueueUnavailableError, StorageUnavailableError: it could not be looked at.
            SettingsError: audio is to be decoded, and soundfile is not installed.
        """
        scope = scope or Scope()
        report = Report()
        shelf = SegmentShelf(self._store, is_decoding=scope.is_decoding)
        wholeness = WholenessCheck(self._store, shelf, report)
        with redis_errors(self._settings):
            for narration_id in self._known_ids(scope):
                self._check_narration(narration_id, scope, report, wholeness)
            self._check_objects(scope, report)
            self._check_acknowledged(scope, report)
            if scope.narration_ids is None:
                check_uploads(self._store, scope.grace_s, report)
                check_keys(self._redis, self._keys, report)
            if scope.canary:
                names = self._store.list_keys()
                check_canary(self._redis, self._settings.redis_prefix, names, scope.canary, report)
        report.counts["stored segments"] = shelf.num_seen
        return report

    def _known_ids(self, scope: Scope) -> Iterator[str]:
        if scope.narration_ids is not None:
            yield from scope.narration_ids
            return
        ids: set[bytes] = set()
        for index in (self._keys.narrations(), self._keys.active()):
            members: Any = self._redis.zrange(index, 0, -1)
            ids.update(members)
        yield from sorted(member.decode(errors="replace") for member in ids)

    def _check_narration(self, narration_id: str, scope: Scope, report: Report, wholeness: WholenessCheck) -> None:
        """Check one narration; if it changed while it was looked at, what was found does not count."""
        num_before, counts_before = len(report.violations), report.counts.copy()
        for _ in range(MAX_LOOKS):
            view = LedgerView.read(self._redis, self._keys, narration_id)
            if not view.exists:
                if scope.narration_ids is not None:
                    self._check_lost(narration_id, report)
                return
            report.counts["narrations"] += 1
            check_places(view, scope, report)
            self._check_log(view, wholeness.check(view), scope, report)
            is_clean = len(report.violations) == num_before
            if is_clean or LedgerView.read(self._redis, self._keys, narration_id).fields == view.fields:
                return
            del report.violations[num_before:]
            report.counts.clear()
            report.counts.update(counts_before)

    def _check_log(self, view: LedgerView, manifest: Manifest | None, scope: Scope, report: Report) -> None:
        if view.is_open and not view.is_restoring:
            num_rejected: int | None = view.number("num_rejected")
            log, done = view.log, view.done
        elif manifest is not None:
            log, num_rejected = tuple(self._takes_log(view.narration_id)), None
            done = frozenset(segment.index for segment in manifest.segments if segment.is_present)
        else:
            return
        num_segments = view.number("num_segments")
        check_history(view.narration_id, log, done, num_segments, num_rejected, scope.max_deaths, report)

    def _takes_log(self, narration_id: str) -> list[dict[str, Any]]:
        try:
            data = retrying(lambda: self._store.get(takes_key(narration_id)), deadline_s=PATIENCE_S)
            return [json.loads(line) for line in data.splitlines()]
        except (ObjectNotFoundError, ValueError):
            return []

    def _check_objects(self, scope: Scope, report: Report) -> None:
        prefixes = ["narrations/"]
        if scope.narration_ids is not None:
            prefixes = [f"narrations/{narration_id}/" for narration_id in scope.narration_ids]
        page: dict[str, dict[str, StoredObject]] = {}

        def flush() -> None:
            for (narration_id, objects), head in zip(page.items(), self._heads(list(page)), strict=True):
                check_objects(narration_id, objects, head, scope.grace_s, report)
            page.clear()

        for prefix in prefixes:
            for narration_id, objects in narrations_in(self._store.list_objects(prefix)):
                page[narration_id] = objects
                if len(page) >= _PAGE:
                    flush()
        flush()

    def _check_acknowledged(self, scope: Scope, report: Report) -> None:
        if scope.acknowledged_ids is None:
            return
        acknowledged = list(dict.fromkeys(scope.acknowledged_ids))
        report.counts["acknowledged"] = len(acknowledged)
        for narration_id, head in zip(acknowledged, self._heads(acknowledged), strict=True):
            if head is None:
                self._check_lost(narration_id, report)
            elif not head.has_ended and scope.is_at_rest:
                text = f"it was acknowledged and is {head.state} at rest"
                report.add(Invariant.NOTHING_LOST, narration_id, None, text, "start a worker, and look at its log")
        if scope.narration_ids is None:
            report.counts["unexpected"] = len(set(self._known_ids(scope)) - set(acknowledged))

    def _heads(self, narration_ids: list[str]) -> list[RecordHead | None]:
        """Return what the audit must know of each record, even of one that nobody else can read."""
        pipeline = self._redis.pipeline(transaction=False)
        for narration_id in narration_ids:
            pipeline.hmget(self._keys.record(narration_id), "state", "format")
        return [RecordHead.of(values) for values in pipeline.execute()]

    def _check_lost(self, narration_id: str, report: Report) -> None:
        """Say what became of a narration that must be there and has no record."""
        prefix = narration_prefix(narration_id)
        objects = {stored.key.removeprefix(prefix): stored for stored in self._store.list_objects(prefix)}
        ends = [objects[name] for name in ("manifest.json", "ended.json") if name in objects]
        if any(end.age_s > self._settings.retention_days * _DAY_S for end in ends):
            return  # its record has expired, as it should
        if objects:
            text = "it has no record, and S3 still holds what it is made of"
            report.add(Invariant.ACCEPTED_IS_KEPT, narration_id, None, text, "run `chatterqueue rebuild`")
        else:
            text = "nothing is left of it, neither in Redis nor in S3"
            remedy = "if a batch brought it, run `chatterqueue rebuild`; else submit it again"
            report.add(Invariant.NOTHING_LOST, narration_id, None, text, remedy)
