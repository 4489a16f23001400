"""Removes segments that are old and that no narration refers to. Off unless a number of days is set.

The cache makes the second narration of a text cheap, so what is old is not rubbish by itself. Knows nothing of Redis
but whether narrations are under way: then it waits, because a segment that is about to be used again looks old.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from pydantic import ValidationError

from producer.contract.manifest import Manifest
from producer.storage import ObjectNotFoundError
from producer.storage.inventory import StoredObject

logger = logging.getLogger(__name__)

#: Folders of `segments/`, by the first two letters of the hash.
NUM_SHARDS: Final = 256

_DAY_S: Final = 86_400.0


class Store(Protocol):
    """The bucket (`producer.storage.inventory.BucketInventory`)."""

    def list_objects(self, prefix: str = "") -> Iterator[StoredObject]: ...  # noqa: D102

    def delete_many(self, keys: Sequence[str]) -> None: ...  # noqa: D102

    def get(self, key: str) -> bytes: ...  # noqa: D102


class SegmentSweep:
    """Goes through the shards of the cache, one in each step; what is referred to is read anew for each round."""

    def __init__(self, store: Store, *, keep_days: int | None, is_idle: Callable[[], bool]) -> None:
        """Take the bucket.

        Args:
            store: where the segments lie.
            keep_days: days after which a segment that no manifest names is removed; None: never.
            is_idle: whether no narration is under way.
        """
        self._store = store
        self._keep_s = None if keep_days is None else keep_days * _DAY_S
        self._is_idle = is_idle
        self._shard = 0
        #: Hashes of the segments that manifests name: 32 bytes each and no more, for there may be millions.
        self._named: set[bytes] = set()

    def run_once(self) -> int:
        """Go through one shard; return how many segments were removed.

        Raises:
            StorageUnavailableError: S3 cannot be used.
        """
        if self._keep_s is None or not self._is_idle():
            return 0
        if self._shard == 0:
            self._named = set(self._read_named())
        old = [
            stored.key
            for stored in self._store.list_objects(f"segments/{self._shard:02x}/")
            if stored.age_s >= self._keep_s and _hash_of(stored.key) not in self._named
        ]
        if not self._is_idle():  # one began meanwhile; the shard is looked at again
            return 0
        self._store.delete_many(old)
        self._shard = (self._shard + 1) % NUM_SHARDS
        return len(old)

    def _read_named(self) -> Iterator[bytes]:
        for stored in self._store.list_objects("narrations/"):
            if not stored.key.endswith("/manifest.json"):
                continue
            try:
                manifest = Manifest.model_validate_json(self._store.get(stored.key))
            except ObjectNotFoundError:
                continue
            except ValidationError:
                logger.warning("manifest_unreadable", extra={"key": stored.key})
                raise
            yield from (_hash_of(segment.key) for segment in manifest.segments if segment.key)


def _hash_of(key: str) -> bytes:
    """Return the hash in a segment's key; the key itself where it is none."""
    name = key.rpartition("/")[2].removesuffix(".flac")
    try:
        return bytes.fromhex(name)
    except ValueError:
        return key.encode()
