"""PUT and GET of one small object by the shortest way: signed by botocore's signer, sent by the client's own session.

A client's call goes through a model of all of S3, some twenty hooks and a parser of errors, which is 0.7 to 1 ms of
Python each time; a worker stores fifty segments a second. Only what is as expected is taken from here: every other
answer, and none, is left to the client, which asks again with all its care. Knows nothing of our errors.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from producer.storage.handshake import MIN_ASKED_BYTES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

#: What an answer of 404 says if the bucket is there and the object is not.
_NO_SUCH_KEY: Final = b"<Code>NoSuchKey</Code>"

_OK: Final = 200
_MISSING: Final = 404

#: Answers by which a server refuses what was asked, or how: 400, 403 and the like, and redirections.
_REFUSALS: Final = range(300, 500)

#: Seconds for which nothing is asked directly after a refusal: if the client has its way, it knows better.
_REST_S: Final = 60.0


class DirectObjects:
    """Objects of one bucket. Safe for use from many threads."""

    def __init__(self, client: S3Client, credentials: Any, bucket: str) -> None:
        """Take the client whose connections are used; nothing is sent.

        Args:
            client: says where the bucket is and how long to wait.
            credentials: `boto3.Session.get_credentials()`; None: there are none, and the client is to say so.
            bucket: the bucket's name.
        """
        self._client = client
        self._credentials = credentials
        self._bucket = bucket
        # The one thing here that botocore does not promise to keep; without it everything is left to the client.
        self._session: Any = getattr(getattr(client, "_endpoint", None), "http_session", None)
        self._base_url: str | None = None
        self._rests_until_s = math.inf if credentials is None or self._session is None else -math.inf

    def put(self, key: str, data: bytes, content_type: str) -> bool:
        """Store an object; return False if it is not known to be stored."""
        if len(data) >= MIN_ASKED_BYTES:
            return False
        return self._send("PUT", key, data, {"Content-Type": content_type})[0] == _OK

    def get(self, key: str) -> bytes | None:
        """Return an object; None if it is not known whether there is one.

        Raises:
            KeyError: there is none.
        """
        status, content = self._send("GET", key, None, {})
        if status == _MISSING and _NO_SUCH_KEY in content:
            raise KeyError(key)
        return content if status == _OK else None

    def _send(self, method: str, key: str, data: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        """Return status and content of the answer; (0, b"") if there was none, or not all of it."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest

        if time.monotonic() < self._rests_until_s:
            return 0, b""
        try:
            request = AWSRequest(method=method, url=self._url(key), data=data, headers=headers)
            # Credentials that expire are renewed by this call; both of its halves then belong together.
            frozen = self._credentials.get_frozen_credentials()
            S3SigV4Auth(frozen, "s3", self._client.meta.region_name).add_auth(request)
            answer = self._session.send(request.prepare())
            content = answer.content
        except (BotoCoreError, HTTPError, OSError) as error:
            logger.debug("direct_request_failed", extra={"error": type(error).__name__})
            return 0, b""
        status = int(answer.status_code)
        if status in _REFUSALS and status != _MISSING:
            self._rests_until_s = time.monotonic() + _REST_S
        is_whole = int(answer.headers.get("Content-Length", len(content))) == len(content)
        return (status, content) if is_whole else (0, b"")

    def _url(self, key: str) -> str:
        if self._base_url is None:
            # The client alone knows whether the bucket's name comes before the host's or behind it.
            url = self._client.generate_presigned_url("get_object", Params={"Bucket": self._bucket, "Key": "x"})
            self._base_url = url.partition("?")[0].removesuffix("x")
        return self._base_url + quote(key, safe="/~")
