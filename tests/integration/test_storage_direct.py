"""The short way to S3: the same objects by fewer steps, and the client's way whenever an answer is not as expected."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from botocore.credentials import ReadOnlyCredentials

from producer.contract.errors import StorageUnavailableError
from producer.contract.settings import Settings
from producer.storage import ObjectNotFoundError, ObjectStore, StorageRefusedError
from producer.storage.direct import DirectObjects
from producer.storage.handshake import MIN_ASKED_BYTES

pytestmark = pytest.mark.integration


class Direct:
    """A store that goes the short way, and how often its client was asked."""

    def __init__(self, settings: Settings) -> None:
        self.store = ObjectStore.connect(settings, read_timeout_s=30.0, is_direct=True)
        self.num_by_client = 0
        self.store._client.meta.events.register("before-send.s3", self._count)

    def _count(self, **_: object) -> None:
        self.num_by_client += 1


@pytest.fixture
def direct(store: ObjectStore, settings: Settings) -> Direct:
    return Direct(settings)  # `store` has made the bucket


def test_objects_are_put_read_and_missed_without_the_client(direct: Direct, store: ObjectStore) -> None:
    store_under_test = direct.store
    keys = ["a/one.flac", "a b/ü+%&=?.flac", "a/~two(1).flac"]
    for key in keys:
        store_under_test.put(key, key.encode(), "audio/flac")
    store_under_test.put(keys[0], b"new", "audio/flac")
    store_under_test.put("a/empty", b"", "audio/flac")
    assert [store_under_test.get(key) for key in keys] == [b"new", *(key.encode() for key in keys[1:])]
    assert store_under_test.get("a/empty") == b""
    with pytest.raises(ObjectNotFoundError, match="'a/none'"):
        store_under_test.get("a/none")
    assert direct.num_by_client == 0
    assert [store.get(key) for key in keys] == [b"new", *(key.encode() for key in keys[1:])]
    head = store._client.head_object(Bucket=store._bucket, Key=store._full(keys[0]))
    assert head["ContentType"] == "audio/flac"


def test_a_large_object_is_left_to_the_client_which_asks_before_it_sends(direct: Direct) -> None:
    data = os.urandom(MIN_ASKED_BYTES)
    direct.store.put("a/large", data, "audio/flac")
    assert direct.num_by_client == 1
    assert direct.store.get("a/large") == data


def test_the_client_has_its_way_when_the_short_one_is_refused(direct: Direct) -> None:
    wrong = ReadOnlyCredentials("nobody", "nothing", None, None)
    direct.store._direct._credentials = SimpleNamespace(get_frozen_credentials=lambda: wrong)
    direct.store.put("a/one", b"one", "audio/flac")
    assert direct.num_by_client == 1
    assert direct.store.get("a/one") == b"one"
    assert direct.num_by_client == 2  # nothing goes the short way for a while


def test_everything_is_left_to_the_client_when_its_session_cannot_be_had() -> None:
    direct = DirectObjects(SimpleNamespace(meta=None), SimpleNamespace(), "bucket")  # type: ignore[arg-type]
    assert not direct.put("a/one", b"one", "audio/flac")
    assert direct.get("a/one") is None


def test_a_missing_bucket_and_a_dead_server_are_named_as_ever(direct: Direct, settings: Settings) -> None:
    elsewhere = ObjectStore.connect(settings.model_copy(update={"s3_bucket": "not-there"}), is_direct=True)
    with pytest.raises(StorageRefusedError, match="bucket is not there"):
        elsewhere.get("a/one")
    dead = settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:9"})
    with pytest.raises(StorageUnavailableError, match="nothing answers there"):
        ObjectStore.connect(dead, is_direct=True).put("a/one", b"one", "audio/flac")


def test_checksums_that_are_asked_for_are_the_clients_to_reckon(settings: Settings) -> None:
    asked = settings.model_copy(update={"s3_checksums": "when_supported"})
    assert ObjectStore.connect(asked, is_direct=True)._direct is None
