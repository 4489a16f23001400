"""The bucket: put, get, list, sign. Knows nothing of narrations.

Keys given to it and returned by it are without CHATTERQUEUE_S3_PREFIX; it puts that in front by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

from botocore.exceptions import ClientError

from producer.contract.errors import StorageUnavailableError
from producer.contract.settings import Settings
from producer.storage.bucket import ensure_bucket, probe_bucket
from producer.storage.direct import DirectObjects
from producer.storage.download import save_stream
from producer.storage.errors import (
    MISSING_OBJECT_CODES,
    ObjectNotFoundError,
    StorageRefusedError,
    error_code,
    storage_errors,
)
from producer.storage.handshake import ask_only_for_large_bodies
from producer.storage.upload import MultipartUpload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: Seconds that a presigned URL can last; S3 refuses longer ones.
MAX_URL_LIFE_S: Final = 7 * 24 * 3600


class ObjectStore:
    """Objects in the bucket that the settings name. Safe for use from many threads; not to be carried over a fork."""

    def __init__(
        self, client: S3Client, signer: S3Client, settings: Settings, direct: DirectObjects | None = None
    ) -> None:
        self._client = client
        self._direct = direct
        self._signer = signer
        self._settings = settings
        self._bucket = settings.s3_bucket

    @classmethod
    def connect(
        cls,
        settings: Settings,
        *,
        connect_timeout_s: float = 2.0,
        read_timeout_s: float = 2.5,
        max_attempts: int = 1,
        max_connections: int = 16,
        is_direct: bool = False,
    ) -> Self:
        """Return a store; nothing is sent yet.

        The defaults are the producer's: whoever waits at a prompt hears of a dead or frozen server in less than
        five seconds. A worker passes longer times, as a server may stand still for twenty seconds and come back.

        Args:
            settings: name the bucket and where it is.
            connect_timeout_s: for a connection.
            read_timeout_s: for each part of an answer.
            max_attempts: of each request, in all.
            max_connections: that are kept.
            is_direct: whether `put` and `get` first go the short way, which is one attempt more.

        Raises:
            StorageUnavailableError: the endpoint or the AWS profile cannot be used.
        """
        # boto3 takes 0.3 s to import, which a command that never needs S3 should not pay.
        import boto3
        from botocore.config import Config

        style = settings.s3_addressing_style or ("path" if settings.s3_endpoint_url else "auto")
        config = Config(
            signature_version="s3v4",  # else URLs for an endpoint of one's own are signed the old way
            s3={"addressing_style": style},
            request_checksum_calculation=settings.s3_checksums,
            response_checksum_validation=settings.s3_checksums,
            connect_timeout=connect_timeout_s,
            read_timeout=read_timeout_s,
            tcp_keepalive=True,
            max_pool_connections=max_connections,
            retries={"mode": "standard", "total_max_attempts": max_attempts},
        )
        with storage_errors(settings):
            session = boto3.session.Session(region_name=settings.s3_region)
            client = session.client("s3", endpoint_url=settings.s3_endpoint_url, config=config)
            ask_only_for_large_bodies(client)
            signer = client
            if settings.s3_public_endpoint_url:
                signer = session.client("s3", endpoint_url=settings.s3_public_endpoint_url, config=config)
            # Checksums that a user has asked for are the client's to reckon.
            is_direct = is_direct and settings.s3_checksums == "when_required"
            direct = DirectObjects(client, session.get_credentials(), settings.s3_bucket) if is_direct else None
        return cls(client, signer, settings, direct)

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store an object in one PUT, over whatever was there.

        Raises:
            StorageUnavailableError: it was not stored, or nobody knows; repeat it.
        """
        with storage_errors(self._settings):
            if self._direct is not None and self._direct.put(self._full(key), data, content_type):
                return
            self._client.put_object(Bucket=self._bucket, Key=self._full(key), Body=data, ContentType=content_type)

    def get(self, key: str) -> bytes:
        """Return a whole object.

        Raises:
            ObjectNotFoundError: there is none.
            StorageUnavailableError: S3 cannot be used.
        """
        with storage_errors(self._settings, key):
            try:
                found = None if self._direct is None else self._direct.get(self._full(key))
            except KeyError:
                raise ObjectNotFoundError(key) from None
            if found is not None:
                return found
            return self._client.get_object(Bucket=self._bucket, Key=self._full(key))["Body"].read()

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """Return `length` bytes of an object from `offset` on; fewer where it ends.

        Raises:
            ObjectNotFoundError: there is no such object.
            StorageUnavailableError: S3 cannot be used, or the object ends before `offset`.
        """
        if length <= 0:
            return b""
        span = f"bytes={offset}-{offset + length - 1}"
        with storage_errors(self._settings, key):
            return self._client.get_object(Bucket=self._bucket, Key=self._full(key), Range=span)["Body"].read()

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes; None if there is none.

        Raises:
            StorageUnavailableError: S3 cannot be used. (A missing bucket looks like a missing object here.)
        """
        with storage_errors(self._settings, key):
            try:
                return self._client.head_object(Bucket=self._bucket, Key=self._full(key))["ContentLength"]
            except ClientError as error:
                if error_code(error) in MISSING_OBJECT_CODES:
                    return None
                raise

    def exists(self, key: str) -> bool:
        """Say whether there is an object with this key.

        Raises:
            StorageUnavailableError: S3 cannot be used.
        """
        return self.size(key) is not None

    def delete(self, key: str) -> None:
        """Remove an object; it is no error if there is none.

        Raises:
            StorageUnavailableError: S3 cannot be used.
        """
        with storage_errors(self._settings):
            self._client.delete_object(Bucket=self._bucket, Key=self._full(key))

    def list_keys(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys that begin with `prefix`, a thousand for each request.

        Raises:
            StorageUnavailableError: S3 cannot be used.
        """
        with storage_errors(self._settings):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._full(prefix)
            )
            for page in pages:
                for entry in page.get("Contents", []):
                    yield entry["Key"].removeprefix(self._settings.s3_prefix)

    def download(self, key: str, path: Path) -> None:
        """Write an object to `path`, which appears when it is whole and replaces what was there.

        Raises:
            ObjectNotFoundError: there is no such object.
            OutputPathError: `path` is a folder or a link, or cannot be written.
            StorageUnavailableError: S3 cannot be used; `path` is as it was.
        """
        with storage_errors(self._settings, key):
            save_stream(lambda: self._client.get_object(Bucket=self._bucket, Key=self._full(key))["Body"], path)

    def presign(self, key: str, expires_s: int, filename: str | None = None) -> str:
        """Return a URL that anybody can fetch the object with, signed for the public endpoint; sends nothing.

        Args:
            key: which object; it is not looked for.
            expires_s: seconds from now, 1 to `MAX_URL_LIFE_S`; the URL ends earlier if the credentials do.
            filename: under which a browser saves it.

        Raises:
            StorageUnavailableError: there are no credentials to sign with.
            ValueError: `expires_s` is out of range.
        """
        if not 1 <= expires_s <= MAX_URL_LIFE_S:
            raise ValueError(f"a URL lasts 1 to {MAX_URL_LIFE_S} s, not {expires_s}")
        parameters = {"Bucket": self._bucket, "Key": self._full(key)}
        if filename is not None:
            parameters["ResponseContentDisposition"] = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
        with storage_errors(self._settings):
            return self._signer.generate_presigned_url("get_object", Params=parameters, ExpiresIn=expires_s)

    def upload(self, key: str, content_type: str) -> MultipartUpload:
        """Return a write-only file that becomes the object when its `with` block ends well."""
        return MultipartUpload(self._client, self._settings, key, content_type)

    def ensure_bucket(self) -> None:
        """Make sure that the bucket is there; makes it if CHATTERQUEUE_S3_CREATE_BUCKET says so.

        Raises:
            StorageUnavailableError: it is not there or S3 cannot be used.
        """
        with storage_errors(self._settings):
            ensure_bucket(self._client, self._settings)

    def check(self) -> list[str]:
        """Return what is wrong with the bucket, in sentences: writes, reads and deletes a probe."""
        try:
            with storage_errors(self._settings):
                return probe_bucket(self._client, self._settings)
        except StorageRefusedError as error:
            hint = "" if "bucket is not there" not in error.args[1] else _BUCKET_HINT
            return [f"{error}{hint}"]
        except StorageUnavailableError as error:
            return [str(error)]

    def _full(self, key: str) -> str:
        return self._settings.s3_prefix + key


_BUCKET_HINT: Final = "; make it, or set CHATTERQUEUE_S3_CREATE_BUCKET=true"
