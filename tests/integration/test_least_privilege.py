"""The farm with the users, policies and TLS of deploy/: everything that it does works, and nothing else does."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any
from urllib.request import urlopen

import pytest
import redis
from botocore.exceptions import ClientError
from handwork import HandFarm
from kombu import pools
from pagevisitor import TOKEN, Visitor
from processes import ROOT
from pydantic import SecretStr
from recordedcalls import record_calls, recorded, stop_recording
from redis.backoff import NoBackoff
from redis.retry import Retry
from rolefarm import PREFIX, USERS, RoleFarm, certificates
from speechlike import speechlike_wav
from tlsproxy import TlsProxy

from producer import Client, Narration, Settings, State
from producer.contract.errors import QueueUnavailableError
from producer.contract.keys import RedisKeys
from producer.contract.routing import ALL_QUEUES, Priority
from producer.examination import Grade, examine
from producer.messages import Messenger, producer_app, queue_list
from producer.page.page import Page
from producer.page.settings import PageSettings
from producer.recording import read_recording
from producer.stack.seaweedfs import BUCKET
from producer.storage import ObjectStore

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoleFarm]:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make certificates with")
    with RoleFarm(tmp_path_factory.mktemp("privilege")) as running:
        yield running


@pytest.fixture
def act_as(farm, monkeypatch):
    """Make this process one of the roles; returns its settings."""

    def become(user: str, **changes: str) -> Settings:
        for name, value in {**farm.environment(user), **changes}.items():
            monkeypatch.setenv(name, value)
        return Settings.load()

    return become


@pytest.fixture
def worker(farm, tmp_path) -> Iterator[subprocess.Popen[bytes]]:
    log = tmp_path / "worker.log"
    environ = {
        **os.environ,
        **farm.environment("worker"),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "CHATTERQUEUE_ENGINE": "tone",
        "CHATTERQUEUE_HEARTBEAT_DIR": str(tmp_path / "heartbeat"),
        "CHATTERQUEUE_CACHE_DIR": str(tmp_path / "cache"),
        "CALLS_OF_S3": str(tmp_path / "worker.calls"),
    }
    options = ["--without-gossip", "--without-mingle", "--without-heartbeat"]  # as `python -m worker`
    command = [sys.executable, "-m", "celery", "-A", "recordingworker", "worker", *options]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def policy(role: str) -> list[dict[str, Any]]:
    return json.loads((ROOT / "deploy" / "s3" / f"policy-{role}.json").read_text())["Statement"]


#: An operation of S3 -> the action that a policy has to allow for it, and whether it is about the bucket itself.
ACTIONS = {
    "HeadBucket": ("s3:ListBucket", True),
    "ListObjectsV2": ("s3:ListBucket", True),
    "GetObject": ("s3:GetObject", False),
    "HeadObject": ("s3:GetObject", False),
    "PutObject": ("s3:PutObject", False),
    "CreateMultipartUpload": ("s3:PutObject", False),
    "UploadPart": ("s3:PutObject", False),
    "CompleteMultipartUpload": ("s3:PutObject", False),
    "AbortMultipartUpload": ("s3:AbortMultipartUpload", False),
    "ListParts": ("s3:ListMultipartUploadParts", False),
    "ListMultipartUploads": ("s3:ListBucketMultipartUploads", True),
    "DeleteObject": ("s3:DeleteObject", False),
    "DeleteObjects": ("s3:DeleteObject", False),
    "CreateBucket": ("s3:CreateBucket", True),
}


def allows(role: str, operation: str, key: str) -> bool:
    action, is_of_bucket = ACTIONS[operation]
    resource = "arn:aws:s3:::narrations" + ("" if is_of_bucket else f"/{key}")
    return any(
        action in statement["Action"] and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        for statement in policy(role)
    )


def test_each_role_can_do_its_work_over_tls_and_needs_no_more_of_s3_than_its_policy(act_as, worker, tmp_path, farm):
    producer_calls = tmp_path / "producer.calls"
    settings = act_as("producer")
    record_calls(producer_calls)
    try:
        with Client(settings) as client:
            voice = speechlike_wav(4)
            client.voices.add("austen", read_recording(voice), consent="herself, by letter")
            assert [found.name for found in client.voices.list()] == ["austen"]
            long = Narration(text="One sentence.\n\n" * 8, engine="tone", format="flac", idempotency_key="k")
            job = client.submit(long)
            batch = client.submit_many([Narration(text=f"Number {n}.", engine="tone", format="wav") for n in range(3)])
            assert client.submit(long).id == job.id
            assert job.wait(timeout_s=60).state is State.SUCCEEDED, (tmp_path / "worker.log").read_text()
            assert {status.state for status in batch.wait(timeout_s=60)} == {State.SUCCEEDED}
            job.download(tmp_path / "out.flac")
            assert job.manifest().audio is not None
            assert len(client.list(limit=10)) == 4
            assert len(client.workers()) == 1
            client.cancel(client.submit(Narration(text="Not this one.", engine="chatterbox")).id)
            for member in batch:  # with the last of them goes the pack of their requests
                member.delete()
            client.voices.remove("austen")
        assert [finding for finding in examine() if finding.grade is Grade.PROBLEM] == []
    finally:
        stop_recording()
    act_as("operator")
    assert [finding for finding in examine() if finding.grade is Grade.PROBLEM] == []

    worker.terminate()
    worker.wait(30)
    log = (tmp_path / "worker.log").read_text()
    for sign in ("NOPERM", "AccessDenied", "may not do this", "Traceback", "task_failed"):
        assert sign not in log
    assert farm.redis("operator").acl_log() == []
    calls = {"producer": recorded(producer_calls), "worker": recorded(tmp_path / "worker.calls")}
    for role, needed in (("producer", {"ListObjectsV2", "DeleteObject"}), ("worker", {"PutObject", "HeadBucket"})):
        assert needed <= {operation for operation, _ in calls[role]}
        assert [call for call in sorted(calls[role]) if not allows(role, *call)] == []


def test_the_page_does_with_the_right_to_read(act_as, farm, tmp_path):
    hand = HandFarm(act_as("worker"), tmp_path)
    running, finished = hand.begin(2, num_done=1), hand.finish(1)
    farm.redis("operator").zadd(f"{PREFIX}narrations", {"a" * 26: 1})  # whose record has expired
    with Page(act_as("reader"), PageSettings(token=SecretStr(TOKEN)), port=0) as page:
        visitor = Visitor(page)
        listed = visitor.get("/api/narrations?limit=2").document["narrations"]
        states = [
            visitor.get(f"/api/narrations/{each}").document["segments"][0]["state"] for each in (running, finished)
        ]
        assert visitor.get(f"/api/narrations/{running}/progress").document["done"] == [[0, 0]]
        link = visitor.get(f"/api/narrations/{finished}/links").document["audio"]
    assert [each["id"] for each in listed] == [finished, running]
    assert states == ["done", "done"]
    with urlopen(link, context=ssl.create_default_context(cafile=str(farm.tls / "ca.crt"))) as audio:
        assert audio.read(4) == b"fLaC"
    for name in (f"{PREFIX}narrations", f"{PREFIX}narration:{finished}"):
        for command in (f"DEL {name}", f"ZREM {name} x", f"HSET {name} state failed", f"EVAL return 1 {name}"):
            assert is_refused(farm.redis("reader"), command)


DANGEROUS = [
    "FLUSHALL", "FLUSHDB", "CONFIG GET *", "CONFIG SET dir /tmp", "KEYS *", "DEBUG SLEEP 0", "MODULE LIST",
    "MODULE LOAD /tmp/x.so", "REPLICAOF 127.0.0.1 1", "SLAVEOF NO ONE", "SHUTDOWN", "SAVE", "BGREWRITEAOF", "MONITOR",
    "ACL LIST", "ACL SETUSER x on nopass", "CLIENT KILL TYPE normal", "SCRIPT FLUSH", "SWAPDB 0 1", "SYNC",
    "MIGRATE h 1 k 0 1", "GET somebody-elses", "SET celery x", "LPUSH celery x", "PUBLISH elsewhere x",
    "CLUSTER RESET", "LATENCY RESET", "FUNCTION FLUSH", "SCRIPT KILL",
]  # fmt: skip
#: Further ones that only some may not give.
OF_PRODUCERS = [
    "BRPOP {queue} 1", "RPOP {queue}", "DEL {queue}", "LTRIM {queue} 1 0", "LREM {queue} 0 x", "RENAME {queue} x",
    "HGETALL {prefix}celery:unacked", "HDEL {prefix}celery:unacked x", "ZADD {prefix}celery:unacked_index 1 x",
    "HSET {prefix}workers x y", "SET {prefix}reconciler x", "DEL {prefix}quarantine",
]  # fmt: skip


def is_refused(client: redis.Redis, command: str) -> bool:
    try:
        client.execute_command(*command.split())
    except redis.exceptions.ResponseError as error:
        return re.search(r"(?i)no permissions|command not allowed", str(error)) is not None
    return False


@pytest.mark.parametrize("user", USERS)
def test_no_role_can_harm_the_server_or_what_is_not_the_farms(farm, user):
    queue = f"{PREFIX}celery:{ALL_QUEUES[0]}"
    commands = DANGEROUS + ([c.format(queue=queue, prefix=PREFIX) for c in OF_PRODUCERS] if user == "producer" else [])
    client = farm.redis(user)
    # Valkey itself refuses DEBUG and MODULE, before it looks who asks.
    assert {command for command in commands if not is_refused(client, command)} == set()
    in_a_script = "return redis.call('CONFIG', 'GET', 'dir')"
    with pytest.raises(redis.exceptions.ResponseError, match=r"(?i)acl|permission|not allowed"):
        client.eval(in_a_script, 0)
    farm.redis("operator").ping()


def test_nobody_comes_in_without_a_name_and_a_password(farm):
    for options in ({}, {"password": USERS["worker"]}, {"username": "worker", "password": "wrong"}):
        with pytest.raises(redis.exceptions.AuthenticationError):
            redis.Redis(port=farm.valkey_port, retry=Retry(NoBackoff(), 0), **options).ping()
    users = (farm.folder / "users.acl").read_text()
    assert not any(password in users for password in USERS.values())
    assert (farm.folder / "users.acl").stat().st_mode & 0o077 == 0


def test_every_key_that_the_farm_names_is_one_that_the_roles_may_use():
    """A key that is added to the contract has to be added to deploy/valkey/users.acl, for producers at least."""
    users = (ROOT / "deploy" / "valkey" / "users.acl").read_text()
    (rights,) = re.findall(r"^user producer (.*)$", users, re.MULTILINE)
    patterns = re.findall(r"(?:~|%R~)(\S+)", rights.replace("@PREFIX@", PREFIX).partition("(")[0])
    of_workers_alone = {"reconciler_lock", "upkeep_lock"}
    keys = RedisKeys(PREFIX)
    for name in (name for name in dir(RedisKeys) if not name.startswith("_")):
        method = getattr(keys, name)
        key = method(*["a" * 26] * (method.__func__.__code__.co_argcount - 1))
        assert any(fnmatchcase(key, pattern) for pattern in patterns) or name in of_workers_alone, name


REFUSED_IN_S3 = {
    "producer": ["segments/aa/x.flac", "elsewhere/x", ".system/x"],
    "worker": ["voices/x.json", "voices/x.wav", "elsewhere/x"],
    "reader": ["narrations/x/audio.mp3", "segments/aa/x.flac", "batches/x", "voices/x.json", ".probe/x"],
}


@pytest.mark.parametrize("user", REFUSED_IN_S3)
def test_no_role_can_write_what_is_not_its_to_write_in_s3(farm, user):
    client = farm.s3(user)
    for key in REFUSED_IN_S3[user]:
        assert not allows(user, "PutObject", key)
        assert not allows(user, "DeleteObject", key)
        for call in (client.put_object, client.delete_object):
            with pytest.raises(ClientError, match="AccessDenied"):
                call(Bucket=BUCKET, Key=key)
    assert not allows(user, "CreateBucket", "")
    with pytest.raises(ClientError, match="AccessDenied"):
        client.create_bucket(Bucket="another")
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_bucket(Bucket=BUCKET)


def test_the_policy_of_the_bucket_refuses_what_is_not_tls_and_links_that_last_too_long():
    statements = json.loads((ROOT / "deploy" / "s3" / "bucket-policy.json").read_text())["Statement"]
    conditions = [(statement["Effect"], statement["Condition"]) for statement in statements]
    assert conditions == [
        ("Deny", {"Bool": {"aws:SecureTransport": "false"}}),
        ("Deny", {"NumericGreaterThan": {"s3:signatureAge": 24 * 3600 * 1000}}),
    ]


def refuses_redis(settings: Settings) -> None:
    """Assert that neither of the two ways to Redis gets through: our own and Celery's."""
    with pytest.raises(QueueUnavailableError) as caught, Client(settings) as client:
        client.statuses(["a" * 26])
    pools.reset()  # which are the process's own, and know a connection by its address alone
    with pytest.raises(QueueUnavailableError):
        Messenger(producer_app(settings), settings).send_plan([("a" * 26, 1)])
    assert USERS["producer"] not in str(caught.value)


def test_a_server_that_cannot_prove_who_it_is_gets_no_password(farm, act_as, tmp_path):
    """Wrong authority, none at all, a name that is not in the certificate, a certificate that has run out."""
    url = act_as("producer").redis_url.get_secret_value()
    ours = str(farm.tls / "ca.crt")
    other = certificates(tmp_path / "other", "localhost")
    for changed in (url.replace(ours, str(other / "ca.crt")), url.partition("?")[0]):
        refuses_redis(act_as("producer", CHATTERQUEUE_REDIS_URL=changed))

    for name, names, days in (("elsewhere", ["elsewhere.example"], "365"), ("old", ["localhost"], "-1")):
        (tmp_path / name).mkdir()
        for file in ("ca.key", "ca.crt"):
            shutil.copy(farm.tls / file, tmp_path / name / file)
        with TlsProxy(certificates(tmp_path / name, *names, DAYS=days), farm.valkey_port) as proxy:
            refuses_redis(
                act_as("producer", CHATTERQUEUE_REDIS_URL=url.replace(f":{farm.redis_port}/", f":{proxy.port}/"))
            )

    settings = act_as("producer", AWS_CA_BUNDLE=str(other / "ca.crt"))
    (problem,) = ObjectStore.connect(settings).check()
    assert "certificate" in problem.lower()


def test_without_tls_the_port_of_tls_says_nothing(farm, act_as):
    url = f"redis://producer:{USERS['producer']}@localhost:{farm.redis_port}/0"
    refuses_redis(act_as("producer", CHATTERQUEUE_REDIS_URL=url))


def test_messages_of_a_producer_reach_the_queues(farm, act_as):
    settings = act_as("producer")
    Messenger(producer_app(settings), settings).send_segments("a" * 26, ["0", "1"], Priority.NORMAL, 1)
    queue = queue_list(settings, "narration.synthesize.normal")
    client = farm.redis("operator")
    assert client.llen(queue) == 2
    client.delete(queue)
