"""The object store on a real S3 server: whole objects or none, and every outage named within five seconds."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from producer.contract.errors import OutputPathError, StorageUnavailableError
from producer.contract.settings import Settings
from producer.storage import ObjectNotFoundError, ObjectStore, StorageRefusedError
from producer.storage.upload import MAX_PARTS_UNDER_WAY, PART_BYTES

pytestmark = pytest.mark.integration

#: Seconds within which a producer has to say that S3 cannot be used.
DEADLINE_S = 5.0


def uploads_under_way(store: ObjectStore, settings: Settings) -> list[str]:
    listing = store._client.list_multipart_uploads(Bucket=settings.s3_bucket, Prefix=settings.s3_prefix)
    return [upload["Key"] for upload in listing.get("Uploads", [])]


def test_objects_are_put_read_listed_and_deleted(store: ObjectStore) -> None:
    store.put("a/one.txt", b"0123456789", "text/plain")
    store.put("a/two.txt", b"", "text/plain")
    store.put("b/three.txt", b"x", "text/plain")
    assert store.get("a/one.txt") == b"0123456789"
    assert store.get("a/two.txt") == b""
    assert store.get_range("a/one.txt", 3, 4) == b"3456"
    assert store.get_range("a/one.txt", 8, 100) == b"89"
    assert store.get_range("a/one.txt", 8, 0) == b""
    assert (store.size("a/one.txt"), store.size("a/none.txt")) == (10, None)
    assert store.exists("a/two.txt")
    assert sorted(store.list_keys("a/")) == ["a/one.txt", "a/two.txt"]
    store.put("a/one.txt", b"new", "text/plain")
    assert store.get("a/one.txt") == b"new"
    store.delete("a/one.txt")
    store.delete("a/one.txt")
    assert not store.exists("a/one.txt")


def test_a_missing_object_is_named(store: ObjectStore, tmp_path: Path) -> None:
    reads: list[Callable[[], object]] = [
        lambda: store.get("none"),
        lambda: store.get_range("none", 0, 1),
        lambda: store.download("none", tmp_path / "file"),
    ]
    for read in reads:
        with pytest.raises(ObjectNotFoundError, match="'none'"):
            read()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size_bytes", [0, 1, PART_BYTES - 1, PART_BYTES, 2 * PART_BYTES + 12_345])
def test_an_upload_is_visible_only_when_it_is_whole(store: ObjectStore, settings: Settings, size_bytes: int) -> None:
    data = os.urandom(size_bytes)
    with store.upload("audio", "audio/mpeg") as upload:
        for start in range(0, size_bytes, 3_000_001):
            upload.write(data[start : start + 3_000_001])
        assert upload.tell() == size_bytes
        assert not store.exists("audio")
    assert (upload.size_bytes, upload.sha256) == (size_bytes, hashlib.sha256(data).hexdigest())
    assert store.get("audio") == data
    assert uploads_under_way(store, settings) == []


@pytest.mark.parametrize("size_bytes", [10, 2 * PART_BYTES])
def test_an_upload_that_breaks_off_leaves_nothing(store: ObjectStore, settings: Settings, size_bytes: int) -> None:
    store.put("audio", b"the one before", "audio/mpeg")

    def interrupted() -> None:
        with store.upload("audio", "audio/mpeg") as upload:
            upload.write(bytes(size_bytes))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store.get("audio") == b"the one before"
    assert uploads_under_way(store, settings) == []


class Parts:
    """Sends the parts of an upload as the client does, the first of them only when it may."""

    def __init__(self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[int] = []
        self.first_may_go = threading.Event()
        self._send = store._client.upload_part
        monkeypatch.setattr(store._client, "upload_part", self.send)

    def send(self, **part: Any) -> Any:
        self.begun.append(part["PartNumber"])
        if part["PartNumber"] == 1:
            assert self.first_may_go.wait(30)
        return self._send(**part)


def upload_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("upload")]


def test_parts_are_in_order_when_the_first_one_is_slow(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(store, monkeypatch)
    data = os.urandom(4 * PART_BYTES + 1)
    with store.upload("audio", "audio/mpeg") as upload:
        upload.write(data[: 2 * PART_BYTES])  # returns while the first one is still on its way
        parts.first_may_go.set()
        upload.write(data[2 * PART_BYTES :])
    assert sorted(parts.begun) == [1, 2, 3, 4, 5]
    assert store.get("audio") == data
    assert upload_threads() == []


def test_writing_waits_while_too_many_parts_are_under_way(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(store, monkeypatch)

    def upload_all() -> None:
        with store.upload("audio", "audio/mpeg") as upload:
            for _ in range(5):
                upload.write(bytes(PART_BYTES))

    writer = threading.Thread(target=upload_all)
    writer.start()
    writer.join(0.5)
    assert len(parts.begun) <= MAX_PARTS_UNDER_WAY
    parts.first_may_go.set()
    writer.join(30)
    assert store.size("audio") == 5 * PART_BYTES


@pytest.mark.parametrize("num_parts", [1, 2, 5])
def test_a_part_that_cannot_be_sent_ends_the_upload(
    store: ObjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch, num_parts: int
) -> None:
    def fail(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="http://s3")

    monkeypatch.setattr(store._client, "upload_part", fail)
    store.put("audio", b"the one before", "audio/mpeg")

    def upload_all() -> None:
        with store.upload("audio", "audio/mpeg") as upload:
            for _ in range(num_parts):
                upload.write(bytes(PART_BYTES))

    with pytest.raises(StorageUnavailableError, match="nothing answers"):
        upload_all()
    assert store.get("audio") == b"the one before"
    assert uploads_under_way(store, settings) == []
    assert upload_threads() == []


def test_an_upload_that_breaks_off_waits_for_the_parts_under_way(
    store: ObjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that arrived after the upload was aborted would be refused, or stay in the bucket."""
    parts = Parts(store, monkeypatch)

    def interrupted() -> None:
        with store.upload("audio", "audio/mpeg") as upload:
            upload.write(bytes(PART_BYTES))
            threading.Timer(0.2, parts.first_may_go.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert parts.first_may_go.is_set()
    assert not store.exists("audio")
    assert uploads_under_way(store, settings) == []
    assert upload_threads() == []


def test_a_download_is_whole_or_not_there(store: ObjectStore, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    store.put("audio", data, "audio/mpeg")
    target = tmp_path / ("n" * 250 + ".mp3")
    target.write_bytes(b"old")
    store.download("audio", target)
    assert target.read_bytes() == data
    assert list(tmp_path.iterdir()) == [target]
    umask = os.umask(0o022)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask


def test_a_place_that_cannot_be_written_to_is_named(store: ObjectStore, tmp_path: Path) -> None:
    store.put("audio", b"data", "audio/mpeg")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    for path, words in [(tmp_path, "a folder"), (link, "symbolic link"), (tmp_path / "no" / "file", "no folder")]:
        with pytest.raises(OutputPathError, match=words):
            store.download("audio", path)
    assert list(tmp_path.iterdir()) == [link]


def test_a_signed_url_works_with_any_client_until_it_expires(store: ObjectStore) -> None:
    store.put("audio", b"data", "audio/mpeg")
    with urllib.request.urlopen(store.presign("audio", 60, "Leuchtturm ä.mp3"), timeout=10) as response:
        assert response.read() == b"data"
        assert response.headers["Content-Type"] == "audio/mpeg"
        assert "filename*=UTF-8''Leuchtturm%20%C3%A4.mp3" in response.headers["Content-Disposition"]
    url = store.presign("audio", 1)
    deadline_s = time.monotonic() + 20
    status = 200
    while status == 200 and time.monotonic() < deadline_s:
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                status = response.status
        except urllib.error.HTTPError as error:
            status = error.code
            error.close()
    assert status == 403


def test_a_url_is_signed_for_the_address_that_users_reach(settings: Settings) -> None:
    public = settings.model_copy(update={"s3_public_endpoint_url": "https://audio.example.org"})
    assert ObjectStore.connect(public).presign("audio", 60).startswith("https://audio.example.org/")


def test_the_bucket_is_made_when_it_may_be(settings: Settings) -> None:
    other = settings.model_copy(update={"s3_bucket": "made-by-a-test"})
    with pytest.raises(StorageRefusedError, match="bucket is not there"):
        ObjectStore.connect(other).ensure_bucket()
    assert "CHATTERQUEUE_S3_CREATE_BUCKET" in ObjectStore.connect(other).check()[0]
    store = ObjectStore.connect(other.model_copy(update={"s3_create_bucket": True}))
    store.ensure_bucket()
    store.ensure_bucket()
    assert store.check() == []
    assert list(store.list_keys()) == []


@contextmanager
def frozen_server() -> Iterator[str]:
    """Take connections and never answer, as a server does that was stopped by SIGSTOP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def dead_server() -> Iterator[str]:
    """Refuse connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@contextmanager
def full_server() -> Iterator[str]:
    """Drop connections, as an address does that nobody routes to."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(server.getsockname())
            waiting.append(client)
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            for client in waiting:
                client.close()


@pytest.mark.parametrize("server", [frozen_server, dead_server, full_server])
def test_an_outage_is_named_within_five_seconds(server: Callable[[], Iterator[str]], settings: Settings) -> None:
    with server() as url:
        store = ObjectStore.connect(settings.model_copy(update={"s3_endpoint_url": url}))
        calls: list[Callable[[], object]] = [
            lambda: store.put("text", bytes(4_000_000), "text/plain"),
            lambda: store.get("text"),
            lambda: store.size("text"),
        ]
        for call in calls:
            begun_s = time.monotonic()
            with pytest.raises(StorageUnavailableError, match=url):
                call()
            assert time.monotonic() - begun_s < DEADLINE_S  # the promise itself, not a benchmark


def test_wrong_credentials_are_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    store = ObjectStore.connect(settings)
    with pytest.raises(StorageRefusedError, match="secret key is wrong"):
        store.put("text", b"x", "text/plain")
    with pytest.raises(StorageRefusedError, match="credentials"):
        store.size("text")
    assert "credentials" in store.check()[0]
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(StorageRefusedError, match="no credentials"):
        ObjectStore.connect(settings).put("text", b"x", "text/plain")


def test_the_bucket_is_checked_by_using_it(store: ObjectStore) -> None:
    assert store.check() == []
    assert list(store.list_keys()) == []
