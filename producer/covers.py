"""Covers: `covers/<sha256>` in S3, named by their content. Knows nothing of narrations.

A cover is never removed: narrations under way and others with the same book may use it, and it is small.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from producer.contract.cover import examine_cover
from producer.contract.errors import UnknownCoverError
from producer.contract.keys import cover_key

if TYPE_CHECKING:
    from producer.storage import ObjectStore


def add_cover(store: ObjectStore, data: bytes) -> str:
    """Store a JPEG or PNG file and return its SHA-256, which narrations name it by; the same again changes nothing.

    Raises:
        InvalidCoverError: it is too large, no JPEG or PNG, or its header is broken; nothing was stored.
        StorageUnavailableError: S3 did not take it.
    """
    facts = examine_cover(data)
    sha256 = hashlib.sha256(data).hexdigest()
    store.put(cover_key(sha256), data, facts.media_type)
    return sha256


def check_cover(store: ObjectStore, sha256: str) -> None:
    """Make sure that a cover is there.

    Raises:
        UnknownCoverError: none has this hash.
        StorageUnavailableError: S3 cannot be asked.
    """
    if not store.exists(cover_key(sha256)):
        raise UnknownCoverError(sha256)
