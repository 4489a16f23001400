"""One object written as a stream: visible when it is whole, or not at all.

Knows nothing of what is written into it.
"""

from __future__ import annotations

import hashlib
import logging
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from producer.contract.errors import ChatterqueueError, StorageUnavailableError
from producer.contract.settings import Settings
from producer.storage.errors import storage_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

logger = logging.getLogger(__name__)

#: Bytes of one part, and so the memory that an upload takes. S3 wants at least 5 MiB and takes 10,000 parts: 80 GiB.
PART_BYTES: Final = 8 * 1024 * 1024


class MultipartUpload:
    """A write-only file that becomes an object when its `with` block ends without an error.

    What is smaller than one part is sent as one PUT. On an error nothing is left behind; only a killed process
    leaves parts, which the bucket's lifecycle rule clears away.
    """

    def __init__(self, client: S3Client, settings: Settings, key: str, content_type: str) -> None:
        self._client = client
        self._settings = settings
        self._bucket = settings.s3_bucket
        self._full_key = settings.s3_prefix + key
        self._content_type = content_type
        self._buffer = bytearray()
        self._hash = hashlib.sha256()
        self._upload_id: str | None = None
        self._parts: list[CompletedPartTypeDef] = []
        self.size_bytes = 0
        self.is_closed = False

    @property
    def sha256(self) -> str:
        """SHA-256 of what was written so far, in hex."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> int:
        """Take bytes; sends a part whenever one is full.

        Raises:
            StorageUnavailableError: a part could not be sent; the block must end.
        """
        self._hash.update(data)
        self.size_bytes += len(data)
        self._buffer += data
        while len(self._buffer) >= PART_BYTES:
            self._send_part(PART_BYTES)
        return len(data)

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self.size_bytes

    def close(self) -> None:
        """Make the object visible; the `with` block calls this.

        Raises:
            StorageUnavailableError: it could not be stored; nothing is visible.
        """
        if self.is_closed:
            return
        with storage_errors(self._settings):
            if self._upload_id is None:
                self._client.put_object(
                    Bucket=self._bucket, Key=self._full_key, Body=bytes(self._buffer), ContentType=self._content_type
                )
            else:
                if self._buffer:
                    self._send_part(len(self._buffer))
                self._complete(self._upload_id)
        self._buffer.clear()
        self.is_closed = True

    def abort(self) -> None:
        """Throw away what was sent; never raises, because it follows an error that matters more."""
        self._buffer.clear()
        self.is_closed = True
        if self._upload_id is None:
            return
        try:
            with storage_errors(self._settings):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._full_key, UploadId=self._upload_id)
        except ChatterqueueError as error:
            logger.warning("upload_abort_failed", extra={"key": self._full_key, "reason": str(error)})

    def _send_part(self, num_bytes: int) -> None:
        number = len(self._parts) + 1
        with storage_errors(self._settings):
            if self._upload_id is None:
                begun = self._client.create_multipart_upload(
                    Bucket=self._bucket, Key=self._full_key, ContentType=self._content_type
                )
                self._upload_id = begun["UploadId"]
            sent = self._client.upload_part(
                Bucket=self._bucket,
                Key=self._full_key,
                UploadId=self._upload_id,
                PartNumber=number,
                Body=bytes(memoryview(self._buffer)[:num_bytes]),
            )
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        del self._buffer[:num_bytes]

    def _complete(self, upload_id: str) -> None:
        self._client.complete_multipart_upload(
            Bucket=self._bucket, Key=self._full_key, UploadId=upload_id, MultipartUpload={"Parts": self._parts}
        )
        # Some servers answer 200 before they have put the parts together, with an error in the body or none at all.
        stored_bytes = self._client.head_object(Bucket=self._bucket, Key=self._full_key)["ContentLength"]
        if stored_bytes != self.size_bytes:
            reason = f"it stored {stored_bytes} bytes of {self.size_bytes}"
            raise StorageUnavailableError(self._settings.s3_address(), reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.abort()
            return
        try:
            self.close()
        except BaseException:
            self.abort()
            raise
