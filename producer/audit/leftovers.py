"""What lies about and belongs to nothing: objects, multipart uploads, keys in Redis.

Knows nothing of segments' contents. Removes nothing: that is the janitor's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Self, cast

from redis import Redis

from producer.audit.report import Invariant, Report
from producer.contract.keys import RedisKeys, is_id
from producer.contract.status import STATES_WITH_AUDIO, TERMINAL_STATES
from producer.storage.inventory import BucketInventory, StoredObject

#: Objects that a narration may have beside its audio.
_KNOWN: Final = re.compile(
    r"request(-[0-9a-f]{16})?\.json|(plan|manifest|ended|engine|deleted)\.json|takes\.jsonl"
    r"|audio\.(srt|vtt|json)|chapters/\d{4}\.[a-z0-9]+"
)
_AUDIO: Final = re.compile(r"audio\.(?!(?:srt|vtt|json)$)(?P<format>[a-z0-9]+)")

#: What may stay of a narration that was deleted, so that it does not come back.
_MARKS: Final = frozenset({"deleted.json", "ended.json", "engine.json"})

_JANITOR: Final = "the janitor of a worker removes it when the retention is over"

#: Keys that one SCAN asks for.
_SCAN_COUNT: Final = 1_000


@dataclass(frozen=True, slots=True)
class RecordHead:
    """What must be known of a narration's record to judge its objects; words as they are stored."""

    state: str
    format: str

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> Self | None:
        """Return the head whose state and format these are; None if there is no record."""
        state, audio_format = ((value or b"").decode(errors="replace") for value in values)
        return cls(state, audio_format) if state else None

    @property
    def has_ended(self) -> bool:
        """Say whether the state is a final one."""
        return self.state in TERMINAL_STATES

    @property
    def has_audio(self) -> bool:
        """Say whether the state is one that comes with audio."""
        return self.state in STATES_WITH_AUDIO


def narrations_in(objects: Iterable[StoredObject]) -> Iterator[tuple[str, dict[str, StoredObject]]]:
    """Yield each narration's id and its objects by name, from a listing of `narrations/` in any order by key.

    What is under no id has the id ''.
    """

    def id_of(stored: StoredObject) -> str:
        _, _, rest = stored.key.partition("/")
        narration_id, _, _ = rest.partition("/")
        return narration_id if is_id(narration_id) else ""

    for narration_id, group in groupby(objects, id_of):
        start = len(f"narrations/{narration_id}/") if narration_id else 0
        yield narration_id, {stored.key[start:]: stored for stored in group}


def check_objects(
    narration_id: str,
    objects: dict[str, StoredObject],
    head: RecordHead | None,
    grace_s: float,
    report: Report,
) -> None:
    """Look for objects of one narration that belong to nothing.

    Args:
        narration_id: whose; '' if they lie under no id.
        objects: by name.
        head: None if there is no record.
        grace_s: younger ones may belong to work under way.
        report: takes what is found.
    """

    def orphan(name: str, text: str, remedy: str = _JANITOR) -> None:
        if objects[name].age_s >= grace_s:
            report.add(Invariant.NO_ORPHANS, narration_id or None, objects[name].key, text, remedy)

    report.counts["objects"] += len(objects)
    for name in objects:
        audio = _AUDIO.fullmatch(name)
        if not narration_id or not (_KNOWN.fullmatch(name) or audio):
            orphan(name, "is no object that we write", "look at it, then remove it by hand")
        elif audio and head is not None and audio["format"] != head.format:
            orphan(name, f"is audio of another format than the {head.format} of its narration")
    if not narration_id:
        return
    if head is None and objects.keys() - _MARKS and not objects.keys() & {"manifest.json", "ended.json"}:
        text = "has no record: it was never accepted, or Redis has lost it"
        orphan(next(iter(objects)), text, f"run `chatterqueue rebuild`; else {_JANITOR}")
    elif head is not None and head.has_ended and not head.has_audio and f"audio.{head.format}" in objects:
        orphan(f"audio.{head.format}", f"is audio of a narration that ended as {head.state}")
    elif head is not None and head.has_audio and "ended.json" in objects:
        text = f"S3 says that it ended without audio, and its record says {head.state}"
        report.add(Invariant.ONE_END, narration_id, "ended.json", text, "remove ended.json")


def check_uploads(store: BucketInventory, grace_s: float, report: Report) -> None:
    """Look for multipart uploads that nobody will finish.

    Raises:
        StorageUnavailableError: S3 cannot be used.
    """
    for upload in store.list_uploads():
        report.counts["uploads"] += 1
        if upload.age_s >= grace_s:
            text = f"is a multipart upload that was begun {upload.age_s:.0f} s ago and not finished"
            report.add(Invariant.NO_BROKEN_UPLOADS, None, upload.key, text, "the janitor of a worker aborts it")


def check_keys(redis: Redis, keys: RedisKeys, report: Report) -> None:
    """Look for keys in Redis whose narration has no record, and for batches that stay for ever.

    Raises:
        redis.RedisError: as the client raises it.
    """
    first = keys.record("")
    for names in _pages(redis, f"{first}*"):
        ids = {name: name.removeprefix(first).partition(":")[0] for name in names}
        exist = _exist(redis, [keys.record(narration_id) for narration_id in ids.values()])
        for name in names:
            report.counts["keys"] += 1
            if keys.record(ids[name]) not in exist:
                report.add(Invariant.NO_LEAKS, ids[name], name, "has no record beside it", "delete the key")
    for member in cast("list[bytes]", redis.zrange(keys.active(), 0, -1)):
        narration_id = member.decode(errors="replace")
        if not redis.exists(keys.record(narration_id)):
            text = "is among the active ones and has no record"
            report.add(Invariant.NO_LEAKS, narration_id, keys.active(), text, "run `chatterqueue rebuild`")
    for names in _pages(redis, f"{keys.batch('')}*"):
        for name in names:
            if redis.pttl(name) == -1:
                report.add(Invariant.NO_LEAKS, None, name, "is a batch that stays for ever", "delete the key")


def _pages(redis: Redis, pattern: str) -> Iterator[list[str]]:
    cursor = 0
    while True:
        cursor, names = cast("tuple[int, list[bytes]]", redis.scan(cursor, match=pattern, count=_SCAN_COUNT))
        yield [name.decode(errors="replace") for name in names]
        if cursor == 0:
            return


def _exist(redis: Redis, names: list[str]) -> set[str]:
    pipeline = redis.pipeline(transaction=False)
    for name in names:
        pipeline.exists(name)
    return {name for name, is_there in zip(names, pipeline.execute(), strict=True) if is_there}
