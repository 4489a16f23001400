"""The embedded stack: usable when it says so, the same after a restart, gone with its owner."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
import redis
from botocore.config import Config
from botocore.exceptions import ClientError
from processes import descendants, is_alive, send_signal, start_script, wait_for

from producer.contract.errors import StackError
from producer.contract.settings import Settings
from producer.stack import EmbeddedStack
from producer.stack.seaweedfs import BUCKET

pytestmark = pytest.mark.integration

OWNER = """
import signal, sys, time
from pathlib import Path
import redis
from producer.stack import EmbeddedStack
with EmbeddedStack(Path(sys.argv[1])) as stack:
    print("up", flush=True)
    try:
        time.sleep(120)
    except KeyboardInterrupt:
        url = stack.environment()["CHATTERQUEUE_REDIS_URL"]
        print("after Ctrl-C:", redis.Redis.from_url(url).ping(), flush=True)
        stack.check()
"""


OWNER_OF_A_WORKER = """
import sys, time
from pathlib import Path
from producer.stack import EmbeddedStack
with EmbeddedStack(Path(sys.argv[1])) as stack:
    worker = stack.start_worker("all", environment={"CHATTERQUEUE_ENGINE": "tone"})
    while "worker_ready" not in worker.log_tail(1000):
        stack.check()
        time.sleep(0.05)
    print("up", flush=True)
    time.sleep(120)
"""


def s3_client(environment, **keys):
    return boto3.client(
        "s3",
        endpoint_url=environment["CHATTERQUEUE_S3_ENDPOINT_URL"],
        region_name=environment["CHATTERQUEUE_S3_REGION"],
        aws_access_key_id=keys.get("access", environment["AWS_ACCESS_KEY_ID"]),
        aws_secret_access_key=keys.get("secret", environment["AWS_SECRET_ACCESS_KEY"]),
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


def redis_of(environment):
    return redis.Redis.from_url(environment["CHATTERQUEUE_REDIS_URL"], decode_responses=True)


def all_pids(root_pid):
    pids = descendants(root_pid)
    assert len(pids) == 4, "two guards, Valkey and SeaweedFS"
    return pids


def test_the_environment_leads_to_a_queue_that_forgets_nothing(stack):
    with redis_of(stack.environment()) as client:
        config = client.config_get("maxmemory-policy", "appendonly", "appendfsync")

    assert config == {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "everysec"}


def test_the_environment_is_what_settings_read(stack, monkeypatch):
    for name, value in stack.environment().items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()

    assert settings.redis_url.get_secret_value() == stack.environment()["CHATTERQUEUE_REDIS_URL"]
    assert settings.s3_address() == stack.environment()["CHATTERQUEUE_S3_ENDPOINT_URL"] + "/narrations"


def test_both_servers_refuse_who_has_no_credentials(stack):
    environment = stack.environment()
    port = int(environment["CHATTERQUEUE_REDIS_URL"].rsplit(":", 1)[1].split("/")[0])
    with redis.Redis(port=port) as client, pytest.raises(redis.exceptions.AuthenticationError):
        client.ping()
    for keys in ({"secret": "wrong"}, {"access": "wrong"}):
        with pytest.raises(ClientError, match=r"403|SignatureDoesNotMatch|InvalidAccessKeyId"):
            s3_client(environment, **keys).list_objects_v2(Bucket="narrations")


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads command lines from /proc")
def test_no_secret_stands_on_a_command_line_or_in_a_readable_file(stack):
    environment = stack.environment()
    secrets = [environment["AWS_SECRET_ACCESS_KEY"], environment["CHATTERQUEUE_REDIS_URL"].split(":")[2].split("@")[0]]
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = command.read_text()
        except OSError:  # ended meanwhile
            continue
        assert not any(secret in line for secret in secrets)

    assert stat.S_IMODE(stack.folder.path.stat().st_mode) == 0o700
    for log in stack.folder.log_dir.iterdir():
        assert not any(secret in log.read_text() for secret in secrets)


def test_a_second_stack_in_the_folder_is_told_how_to_use_the_first(stack):
    with pytest.raises(StackError, match="in use by process") as refused:
        EmbeddedStack(stack.folder.path).start()
    line = str(refused.value).split("runs there: ")[1].split(";")[0]
    shell = f'{line} && printf %s "$CHATTERQUEUE_REDIS_URL"'
    said = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout

    assert said == stack.environment()["CHATTERQUEUE_REDIS_URL"]


def test_data_credentials_and_ports_stay_when_it_starts_again(tmp_path):
    with EmbeddedStack(tmp_path) as first:
        environment = first.environment()
        with redis_of(environment) as client:
            client.set("kept", "yes")
        s3_client(environment).put_object(Bucket="narrations", Key="kept", Body=b"yes")
    assert not first.folder.environment_path.exists()
    with EmbeddedStack(tmp_path) as second:
        assert second.environment() == environment
        with redis_of(environment) as client:
            assert client.get("kept") == "yes"
        assert s3_client(environment).get_object(Bucket="narrations", Key="kept")["Body"].read() == b"yes"


def test_it_takes_other_ports_when_its_last_ones_are_taken(tmp_path):
    with EmbeddedStack(tmp_path) as first:
        environment = first.environment()
    port = int(environment["CHATTERQUEUE_S3_ENDPOINT_URL"].rsplit(":", 1)[1])
    with socket.create_server(("127.0.0.1", port)), EmbeddedStack(tmp_path) as second:
        assert second.environment()["CHATTERQUEUE_S3_ENDPOINT_URL"] != environment["CHATTERQUEUE_S3_ENDPOINT_URL"]
        s3_client(second.environment()).head_bucket(Bucket="narrations")


def test_a_port_that_was_asked_for_and_is_taken_is_a_named_error(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port}"):
            EmbeddedStack(tmp_path, redis_port=port).start()

    folder = EmbeddedStack(tmp_path).folder
    folder.lock()  # it was given back
    folder.unlock()


def test_a_server_that_dies_is_reported_with_its_log(tmp_path):
    with EmbeddedStack(tmp_path) as stack:
        stack.check()
        with redis_of(stack.environment()) as client:
            client.shutdown(nosave=True)
        valkey = stack._servers[0]
        assert valkey.wait(20) is not None
        with pytest.raises(StackError, match=r"(?s)valkey failed: it ended with status 0.*bye bye"):
            stack.check()


def test_nothing_is_left_when_the_owner_is_killed_and_the_folder_can_be_used_again(tmp_path):
    with start_script(OWNER, tmp_path) as owner:
        assert owner.stdout.readline() == "up\n"
        below = all_pids(owner.pid)
        send_signal(owner.pid, signal.SIGKILL)

    # At once: the folder is given over only when the old servers have ended.
    with EmbeddedStack(tmp_path) as stack:
        assert not any(map(is_alive, below))
        stack.check()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_when_the_owner_is_told_to_end(tmp_path, number):
    with start_script(OWNER, tmp_path) as owner:
        assert owner.stdout.readline() == "up\n"
        below = all_pids(owner.pid)
        send_signal(owner.pid, number)

    wait_for(lambda: not any(map(is_alive, below)), "all servers are gone")


def test_ctrl_c_hits_the_owner_first_and_then_ends_everything(tmp_path):
    with start_script(OWNER, tmp_path) as owner:
        assert owner.stdout.readline() == "up\n"
        below = all_pids(owner.pid)
        os.killpg(owner.pid, signal.SIGINT)  # what a terminal does

        assert owner.stdout.read() == "after Ctrl-C: True\n"
    assert owner.returncode == 0
    assert not any(map(is_alive, below))


def test_its_worker_ends_with_the_owner_too(tmp_path):
    with start_script(OWNER_OF_A_WORKER, tmp_path) as owner:
        assert owner.stdout.readline() == "up\n"
        below = descendants(owner.pid)
        assert len(below) == 7, "three guards, two servers, the supervisor and its process"
        send_signal(owner.pid, signal.SIGKILL)

    wait_for(lambda: not any(map(is_alive, below)), "servers and worker are gone", timeout_s=60)


def test_the_s3_server_ends_by_itself_after_many_connections_at_once(tmp_path):
    """It would otherwise be killed when its time of grace is over, and whoever waits for the stack waits with it."""
    with EmbeddedStack(tmp_path) as stack:
        client = s3_client(stack.environment())
        data = os.urandom(400_000)

        def put(number: int) -> None:
            client.put_object(Bucket=BUCKET, Key=f"many/{number}", Body=data)

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(put, range(400)))
    assert "Shut down successfully" in (tmp_path / "logs" / "s3.log").read_text()
