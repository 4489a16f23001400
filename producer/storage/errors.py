"""What may go wrong with S3, in our own errors.

Knows botocore's exceptions, so that nothing else has to.

StorageUnavailableError      the server is down, frozen or overloaded: worth another try
└── StorageRefusedError      it answered and will refuse every time: credentials, rights, a missing bucket
NotFoundError
└── ObjectNotFoundError      no object has this key
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
)

from producer.contract.errors import NotFoundError, StorageUnavailableError
from producer.contract.settings import Settings


class StorageRefusedError(StorageUnavailableError):
    """The S3 server refuses us, and would do so again. Arguments: address, reason."""

    is_retryable = False


class ObjectNotFoundError(NotFoundError):
    """No object has this key. Argument: the key, without the S3 prefix."""

    code = "object_not_found"

    def __init__(self, key: str) -> None:
        super().__init__(key)

    def __str__(self) -> str:
        return f"no object {self.args[0]!r} in the bucket"


#: Error codes of S3 that another try does not mend -> what they mean. A HEAD request has a bare status for a code.
_REFUSALS: Final = {
    "InvalidAccessKeyId": "the access key is not known there",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "ExpiredToken": "the credentials have expired",
    "InvalidToken": "the session token is not valid",
    "AccessDenied": "the credentials do not give the right to do this",
    "AllAccessDisabled": "the credentials do not give the right to do this",
    "403": "the credentials are wrong or do not give the right to do this",
    "Forbidden": "the credentials are wrong or do not give the right to do this",
    "NoSuchBucket": "the bucket is not there",
    "InvalidBucketName": "the bucket's name is not accepted",
    "PermanentRedirect": "the bucket lies in another region",
    "AuthorizationHeaderMalformed": "the bucket lies in another region",
    "RequestTimeTooSkewed": "the clocks of this machine and of the server differ too much",
}

MISSING_OBJECT_CODES: Final = frozenset({"NoSuchKey", "404", "NotFound"})


def error_code(error: ClientError) -> str:
    """Return the code that the server gave: a name, or a bare status where it sent no body."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


@contextmanager
def storage_errors(settings: Settings, key: str | None = None) -> Iterator[None]:
    """Turn botocore's exceptions into ours.

    Args:
        settings: name the address in the message.
        key: the object that is read; None where a 404 can only mean the bucket.

    Raises:
        ObjectNotFoundError: the object is not there.
        StorageRefusedError: credentials, rights or bucket are wrong.
        StorageUnavailableError: everything else.
    """
    try:
        yield
    except ClientError as error:
        raise _of_answer(error, settings, key) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        reason = "no credentials were found (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or any of boto3's other ways)"
        raise StorageRefusedError(settings.s3_address(), reason) from error
    except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint that boto3 cannot take apart
        raise StorageUnavailableError(settings.s3_address(), _in_words(error)) from error


def _of_answer(error: ClientError, settings: Settings, key: str | None) -> Exception:
    code = error_code(error)
    if code in MISSING_OBJECT_CODES:
        if key is not None:
            return ObjectNotFoundError(key)
        return StorageRefusedError(settings.s3_address(), "the bucket is not there")
    if code in _REFUSALS:
        return StorageRefusedError(settings.s3_address(), f"{_REFUSALS[code]} ({code})")
    return StorageUnavailableError(settings.s3_address(), f"the server answered {code}")


def _in_words(error: Exception) -> str:
    known: dict[type[Any], str] = {
        ConnectTimeoutError: "it cannot be reached in time",
        ReadTimeoutError: "it does not answer in time",
        EndpointConnectionError: "nothing answers there",
        ConnectionClosedError: "it closed the connection",
    }
    for kind, words in known.items():
        if isinstance(error, kind):
            return words
    # The message may hold a URL, never a secret; the class name alone would not help anybody.
    return f"{type(error).__name__}: {error}"[:300]
