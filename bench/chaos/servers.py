"""Valkey and SeaweedFS as children that can be killed, damaged and started again, each alone.

Knows nothing of narrations. `EmbeddedStack` starts both and keeps them; here one of them has to die.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from bench.chaos.processes import descendants, send_signal
from producer.stack import GuardedProcess
from producer.stack.folder import DataFolder, StackState
from producer.stack.ports import free_ports
from producer.stack.seaweedfs import (
    BUCKET,
    REGION,
    ROLES,
    find_weed,
    is_s3_ready,
    probe_client,
    remove_sockets,
    weed_command,
    weed_environment,
)
from producer.stack.valkey import find_valkey_server, is_valkey_ready, valkey_config

#: Seconds for a server to be ready on a busy machine.
READY_S = 60.0


class Servers:
    """Both servers in one folder; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = DataFolder(folder)
        self.state = StackState()
        self._valkey: GuardedProcess | None = None
        self._weed: GuardedProcess | None = None

    def __enter__(self) -> Servers:
        self.folder.lock()
        names = ("valkey", *ROLES)
        self.state.ports = dict(zip(names, free_ports(len(names)), strict=True))
        try:
            self.start_redis()
            self.start_s3()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End both."""
        for process in (self._valkey, self._weed):
            if process is not None:
                process.request_stop()
        for process in (self._valkey, self._weed):
            if process is not None:
                process.stop()
        remove_sockets(self.state.ports)
        self.folder.unlock()

    @property
    def redis_port(self) -> int:
        """Where Valkey listens."""
        return self.state.ports["valkey"]

    @property
    def s3_port(self) -> int:
        """Where SeaweedFS takes S3 requests."""
        return self.state.ports["s3"]

    def environment(self, *, redis_port: int | None = None, s3_port: int | None = None) -> dict[str, str]:
        """Return the variables that point at these servers, or at proxies before them."""
        redis = f":{self.state.redis_password}@127.0.0.1:{redis_port or self.redis_port}"
        return {
            "CHATTERQUEUE_REDIS_URL": f"redis://{redis}/0",
            "CHATTERQUEUE_S3_ENDPOINT_URL": f"http://127.0.0.1:{s3_port or self.s3_port}",
            "CHATTERQUEUE_S3_BUCKET": BUCKET,
            "CHATTERQUEUE_S3_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.state.s3_access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.state.s3_secret_access_key,
        }

    def start_redis(self) -> None:
        """Start Valkey on its port with the data that it left."""
        config = valkey_config(port=self.redis_port, password=self.state.redis_password, folder=self.folder.valkey_dir)
        path = self.folder.write_private("valkey.conf", config)
        self._valkey = self._start("valkey", [str(find_valkey_server()), str(path)], self.folder.valkey_dir, {})
        port, password = self.redis_port, self.state.redis_password
        _wait(lambda: is_valkey_ready(port=port, password=password), "Valkey is ready")

    def start_s3(self) -> None:
        """Start SeaweedFS on its ports with the data that it left."""
        keys = {
            "access_key_id": self.state.s3_access_key_id,
            "secret_access_key": self.state.s3_secret_access_key,
        }
        command = weed_command(find_weed(), folder=self.folder.s3_dir, ports=self.state.ports)
        environment = weed_environment(folder=self.folder.s3_dir, **keys)
        self._weed = self._start("s3", command, self.folder.s3_dir, environment)
        client = probe_client(port=self.s3_port, **keys)
        with contextlib.closing(client):
            _wait(lambda: is_s3_ready(client), "SeaweedFS is ready")

    def _start(self, name: str, command: list[str], folder: Path, environment: dict[str, str]) -> GuardedProcess:
        return GuardedProcess(
            name,
            command,
            log_path=self.folder.log_path(name),
            environment=environment or {"PATH": os.environ.get("PATH", "")},
            folder=folder,
            inherited_fds=[self.folder.lock_fd],
        )

    def kill_redis(self) -> None:
        """Kill Valkey with -9 and return when it is gone."""
        assert self._valkey is not None
        _kill(self._valkey)

    def kill_s3(self) -> None:
        """Kill SeaweedFS with -9 and return when it is gone."""
        assert self._weed is not None
        _kill(self._weed)
        remove_sockets(self.state.ports)

    def cut_append_only_file(self, num_bytes: int) -> int:
        """Take bytes off the end of Valkey's append-only file, as a loss of power does; return how many were taken."""
        (tail,) = (self.folder.valkey_dir / "appendonlydir").glob("*.incr.aof")
        size = tail.stat().st_size
        cut = min(num_bytes, size)
        os.truncate(tail, size - cut)
        return cut


def _kill(process: GuardedProcess) -> None:
    for pid in descendants(process.pid):
        send_signal(pid, signal.SIGKILL)
    if process.wait(20) is None:
        raise TimeoutError("a killed server does not end")
    process.stop()  # nothing is left of it; this closes the pipe to its guard


def _wait(is_so: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + READY_S
    while not is_so():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"after {READY_S:g} s still not: {what}")
        time.sleep(0.05)
