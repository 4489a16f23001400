"""One object written as a stream: visible when it is whole, or not at all.

Knows nothing of what is written into it.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from producer.contract.errors import ChatterqueueError, StorageUnavailableError
from producer.contract.settings import Settings
from producer.storage.errors import storage_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

logger = logging.getLogger(__name__)

#: Bytes of one part. S3 wants at least 5 MiB and takes 10,000 parts: 80 GiB.
PART_BYTES: Final = 8 * 1024 * 1024
#: Parts that are sent at once while the next one fills, and so the memory that an upload takes: three parts.
MAX_PARTS_UNDER_WAY: Final = 2


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
        self._num_parts = 0
        self._sent: list[CompletedPartTypeDef] = []
        self._under_way: deque[Future[CompletedPartTypeDef]] = deque()
        # Starts no thread before the first part.
        self._senders = ThreadPoolExecutor(MAX_PARTS_UNDER_WAY, thread_name_prefix="upload")
        self.size_bytes = 0
        self.is_closed = False

    @property
    def sha256(self) -> str:
        """SHA-256 of what was written so far, in hex."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> int:
        """Take bytes; a part that is full is sent while the next one fills.

        Raises:
            StorageUnavailableError: a part, perhaps an earlier one, could not be sent; the block must end.
        """
        self._hash.update(data)
        self.size_bytes += len(data)
        self._buffer += data
        while len(self._buffer) >= PART_BYTES:
            self._begin_part(PART_BYTES)
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
        if self._upload_id is None:
            with storage_errors(self._settings):
                self._client.put_object(
                    Bucket=self._bucket, Key=self._full_key, Body=bytes(self._buffer), ContentType=self._content_type
                )
        else:
            if self._buffer:
                self._begin_part(len(self._buffer))
            while self._under_way:
                self._finish_oldest_part()
            self._complete(self._upload_id)
        self._buffer.clear()
        self._senders.shutdown()
        self.is_closed = True

    def abort(self) -> None:
        """Throw away what was sent; never raises, because it follows an error that matters more."""
        self._buffer.clear()
        self.is_closed = True
        # A part that arrives after its upload was aborted would stay in the bucket.
        self._senders.shutdown(cancel_futures=True)
        if self._upload_id is None:
            return
        try:
            with storage_errors(self._settings):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._full_key, UploadId=self._upload_id)
        except ChatterqueueError as error:
            logger.warning("upload_abort_failed", extra={"key": self._full_key, "reason": str(error)})

    def _begin_part(self, num_bytes: int) -> None:
        """Take the next part out of the buffer and have it sent; waits while too many are under way."""
        if self._upload_id is None:
            with storage_errors(self._settings):
                begun = self._client.create_multipart_upload(
                    Bucket=self._bucket, Key=self._full_key, ContentType=self._content_type
                )
            self._upload_id = begun["UploadId"]
        if len(self._under_way) == MAX_PARTS_UNDER_WAY:
            self._finish_oldest_part()
        self._num_parts += 1
        body = bytes(memoryview(self._buffer)[:num_bytes])
        del self._buffer[:num_bytes]
        self._under_way.append(self._senders.submit(self._send_part, self._upload_id, self._num_parts, body))

    def _finish_oldest_part(self) -> None:
        self._sent.append(self._under_way.popleft().result())

    def _send_part(self, upload_id: str, number: int, body: bytes) -> CompletedPartTypeDef:
        with storage_errors(self._settings):
            sent = self._client.upload_part(
                Bucket=self._bucket, Key=self._full_key, UploadId=upload_id, PartNumber=number, Body=body
            )
        return {"PartNumber": number, "ETag": sent["ETag"]}

    def _complete(self, upload_id: str) -> None:
        with storage_errors(self._settings):
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=self._full_key, UploadId=upload_id, MultipartUpload={"Parts": self._sent}
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
