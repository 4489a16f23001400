"""Objects in S3, for both sides. Knows keys and bytes, and nothing of what they mean."""

from __future__ import annotations

from producer.storage.errors import ObjectNotFoundError, StorageRefusedError
from producer.storage.retry import retrying
from producer.storage.store import ObjectStore
from producer.storage.upload import MultipartUpload

__all__ = ["MultipartUpload", "ObjectNotFoundError", "ObjectStore", "StorageRefusedError", "retrying"]
