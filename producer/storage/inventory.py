"""Taking stock of a bucket: what lies in it, how old it is, what was begun and never finished.

Knows nothing of what the objects mean. Ages are by the S3 server's own clock, so that a machine whose clock is wrong
judges nothing as old that is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from producer.storage.errors import error_code, storage_errors
from producer.storage.store import ObjectStore


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as a listing shows it."""

    #: Without the S3 prefix.
    key: str
    size_bytes: int
    #: Seconds since it was written.
    age_s: float


@dataclass(frozen=True, slots=True)
class BegunUpload:
    """A multipart upload that was begun and neither completed nor aborted."""

    #: Without the S3 prefix.
    key: str
    upload_id: str
    #: Seconds since it was begun.
    age_s: float


class BucketInventory(ObjectStore):
    """An object store that can also be listed with sizes and ages, and cleared."""

    def list_objects(self, prefix: str = "", *, start_after: str | None = None) -> Iterator[StoredObject]:
        """Yield the objects whose keys begin with `prefix`, in the server's order, a thousand for each request.

        Args:
            prefix: of the keys.
            start_after: a key of an earlier listing, to go on behind it.

        Raises:
            StorageUnavailableError: S3 cannot be used.
        """
        request: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._full(prefix)}
        if start_after is not None:
            request["StartAfter"] = self._full(start_after)
        with storage_errors(self._settings):
            for page in self._client.get_paginator("list_objects_v2").paginate(**request):
                now = _server_time(page)
                for entry in page.get("Contents", []):
                    age_s = (now - entry["LastModified"]).total_seconds()
                    yield StoredObject(self._short(entry["Key"]), entry["Size"], age_s)

    def get_begin(self, key: str, num_bytes: int) -> bytes:
        """Return the first bytes of an object; fewer where it ends, none of an empty one.

        Raises:
            ObjectNotFoundError: there is no such object.
            StorageUnavailableError: S3 cannot be used.
        """
        with storage_errors(self._settings, key):
            try:
                span = f"bytes=0-{num_bytes - 1}"
                return self._client.get_object(Bucket=self._bucket, Key=self._full(key), Range=span)["Body"].read()
            except ClientError as error:
                if error_code(error) in {"InvalidRange", "416"}:
                    return b""
                raise

    def list_uploads(self) -> Iterator[BegunUpload]:
        """Yield the multipart uploads under our prefix that were begun and not finished.

        Raises:
            StorageUnavailableError: S3 cannot be used.
        """
        with storage_errors(self._settings):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._full("")
            )
            for page in pages:
                now = _server_time(page)
                for entry in page.get("Uploads", []):
                    age_s = (now - entry["Initiated"]).total_seconds()
                    yield BegunUpload(self._short(entry["Key"]), entry["UploadId"], age_s)

    def abort_upload(self, upload: BegunUpload) -> None:
        """Throw away the parts of an upload; it is no error if it has ended meanwhile.

        Raises:
            StorageUnavailableError: S3 cannot be used.
        """
        with storage_errors(self._settings):
            try:
                self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=self._full(upload.key), UploadId=upload.upload_id
                )
            except ClientError as error:
                if error_code(error) not in {"NoSuchUpload", "404"}:
                    raise

    def delete_many(self, keys: Sequence[str]) -> None:
        """Remove objects; it is no error if some are not there.

        Raises:
            StorageUnavailableError: S3 cannot be used; some may be gone.
        """
        for key in keys:  # DeleteObjects needs a checksum header that older servers refuse
            self.delete(key)

    def _short(self, full_key: str) -> str:
        return full_key.removeprefix(self._settings.s3_prefix)


def _server_time(page: Any) -> datetime:
    """Return when the server answered, by its own clock."""
    header = page.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return parsedate_to_datetime(header) if header else datetime.now(UTC)
