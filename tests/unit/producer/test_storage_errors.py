"""What the S3 server answers becomes an error that says what to mend."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, ReadTimeoutError

from producer.contract.errors import NotFoundError, StorageUnavailableError
from producer.contract.settings import Settings
from producer.storage import ObjectNotFoundError, StorageRefusedError, retrying
from producer.storage.errors import storage_errors

SETTINGS = Settings(s3_endpoint_url="http://s3:8333", s3_bucket="books")


def answer(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "secret words"}}, "GetObject")


@pytest.mark.parametrize(
    ("raised", "words", "is_retryable"),
    [
        (answer("InvalidAccessKeyId"), "access key", False),
        (answer("SignatureDoesNotMatch"), "secret key", False),
        (answer("403"), "credentials", False),
        (answer("NoSuchBucket"), "bucket is not there", False),
        (answer("404"), "bucket is not there", False),
        (NoCredentialsError(), "no credentials", False),
        (answer("SlowDown"), "answered SlowDown", True),
        (answer("InternalError"), "answered InternalError", True),
        (ReadTimeoutError(endpoint_url="http://s3:8333"), "does not answer in time", True),
        (ValueError("Invalid endpoint: x"), "Invalid endpoint", True),
    ],
)
def test_each_fault_is_named_with_the_address(raised: Exception, words: str, is_retryable: bool) -> None:
    with pytest.raises(StorageUnavailableError, match=words) as caught, storage_errors(SETTINGS):
        raise raised
    assert caught.value.is_retryable is is_retryable
    assert isinstance(caught.value, StorageRefusedError) is not is_retryable
    assert "http://s3:8333/books" in str(caught.value)
    assert "secret words" not in str(caught.value)
    assert caught.value.code == "storage_unavailable"


@pytest.mark.parametrize("code", ["404", "NoSuchKey"])
def test_a_missing_object_is_named_by_its_key(code: str) -> None:
    with pytest.raises(ObjectNotFoundError, match="'a/b'") as caught, storage_errors(SETTINGS, "a/b"):
        raise answer(code)
    assert isinstance(caught.value, NotFoundError)


class Clock:
    """Seconds that pass only by sleeping."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits_s: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits_s.append(seconds)
        self.now_s += seconds

    def __call__(self) -> float:
        return self.now_s


def test_a_call_is_repeated_with_growing_waits_until_it_works() -> None:
    clock = Clock()
    results: list[str | Exception] = [StorageUnavailableError("s3", "down")] * 5 + ["stored"]

    def call() -> str:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    assert retrying(call, sleep=clock.sleep, clock=clock) == "stored"
    limits = [0.5, 1.0, 2.0, 4.0, 8.0]
    assert all(limit / 2 <= wait <= limit for wait, limit in zip(clock.waits_s, limits, strict=True))


def test_repeating_ends_at_the_deadline() -> None:
    clock = Clock()

    def call() -> str:
        raise StorageUnavailableError("s3", "down")

    with pytest.raises(StorageUnavailableError):
        retrying(call, deadline_s=20, sleep=clock.sleep, clock=clock)
    assert 10 < clock.now_s <= 20


def test_what_would_be_refused_again_is_not_repeated() -> None:
    clock = Clock()

    def call() -> str:
        raise StorageRefusedError("s3", "wrong key")

    with pytest.raises(StorageRefusedError):
        retrying(call, sleep=clock.sleep, clock=clock)
    assert clock.waits_s == []
