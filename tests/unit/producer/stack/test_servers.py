"""What the two servers are started with, and what is said when their wheels are missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

import pytest

from producer.contract.errors import StackError
from producer.contract.exitcode import ExitCode
from producer.stack import EmbeddedStack
from producer.stack.seaweedfs import ROLES, remove_sockets, weed_command, weed_environment
from producer.stack.valkey import valkey_config

PORTS = {role: 12_000 + number for number, role in enumerate(ROLES)}


def test_the_s3_server_is_closed_to_others_and_says_nothing_about_us():
    command = weed_command(Path("weed"), folder=Path("/data"), ports=PORTS)

    assert {"-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-disableHttp", "-master.telemetry=false"} <= set(command)
    assert {f"-{role}.port={port}" for role, port in PORTS.items()} <= set(command)


def test_keys_go_by_environment_and_the_users_own_are_not_passed_on(monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "mine")
    environment = weed_environment(folder=Path("/data"), access_key_id="id", secret_access_key="secret")

    assert (environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]) == ("id", "secret")
    assert "mine" not in environment.values()


def test_valkey_keeps_what_it_accepted_and_asks_for_the_password():
    config = valkey_config(port=12_000, password="secret", folder=Path('/a "b" c'))

    lines = dict(line.split(" ", 1) for line in config.splitlines())
    assert lines["maxmemory-policy"] == "noeviction"
    assert (lines["appendonly"], lines["appendfsync"]) == ("yes", "everysec")
    assert (lines["bind"], lines["port"], lines["requirepass"]) == ("127.0.0.1", "12000", "secret")
    assert lines["dir"] == r'"/a \"b\" c"'


def missing_valkey(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def missing_weed(monkeypatch):
    def files(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", files)


@pytest.mark.parametrize("missing", [missing_valkey, missing_weed])
def test_a_missing_extra_is_named_with_the_way_to_install_it(tmp_path, monkeypatch, missing):
    missing(monkeypatch)
    with pytest.raises(StackError, match=r"pip install '\.\[local\]'") as refused:
        EmbeddedStack(tmp_path / "data").start()

    assert refused.value.exit_code is ExitCode.CONFIGURATION
    assert not (tmp_path / "data").exists()


def test_only_the_sockets_of_our_own_ports_are_removed(tmp_path, monkeypatch):
    ours, grpc, other = (f"seaweedfs-{name}.sock" for name in ("s3-12000", "s3-grpc-22000", "s3-12345"))
    for name in (ours, grpc, other):
        (tmp_path / name).touch()
    monkeypatch.setattr("producer.stack.seaweedfs.SOCKET_DIR", tmp_path)
    remove_sockets(PORTS)

    assert [path.name for path in tmp_path.iterdir()] == [other]
