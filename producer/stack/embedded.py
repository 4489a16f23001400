"""Starts, watches and stops the embedded stack.

Knows nothing of queues, objects or engines: it runs Valkey, an S3 server and, when asked, workers beside them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from producer.contract.errors import StackError
from producer.stack.folder import DataFolder, StackState
from producer.stack.ports import are_free, free_ports
from producer.stack.process import GuardedProcess, worker_command
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

DEFAULT_DATA_DIR: Final = Path(".chatterqueue")

#: Seconds for both servers to be ready; two are usual, a long append-only file takes more.
START_S: Final = 60.0

#: Starts that are tried when somebody else takes a port between our look and the server's.
MAX_STARTS: Final = 3

#: Seconds that each part has to end after TERM. SeaweedFS was seen to need 5; a worker gives its work back first.
SERVER_GRACE_S: Final = 15.0
WORKER_GRACE_S: Final = 30.0


class EmbeddedStack:
    """Valkey and an S3 server on private loopback ports, all their data in one folder.

    Use it as a context manager, or call `start` and `stop`. The servers end with this process, also when it is
    killed. Workers started with `start_worker` are part of the stack.
    """

    def __init__(
        self, data_dir: Path = DEFAULT_DATA_DIR, *, redis_port: int | None = None, s3_port: int | None = None
    ) -> None:
        """Describe a stack; nothing is started or written yet.

        Args:
            data_dir: The folder; made if it is not there.
            redis_port: Port for Valkey; None takes the one of the last start if it is free, else any.
            s3_port: The same for S3.
        """
        self.folder = DataFolder(data_dir)
        self._wanted_ports = {"valkey": redis_port, "s3": s3_port}
        self._state = StackState()
        self._servers: list[GuardedProcess] = []
        self._workers: list[GuardedProcess] = []

    def start(self) -> Self:
        """Start both servers and wait until they can be used.

        Raises:
            StackError: The extra `local` is missing, the folder is in use, or a server did not come up.
        """
        find_valkey_server(), find_weed()  # before anything is written
        self.folder.lock()
        try:
            self._state = self.folder.load_state()
            for attempt in range(1, MAX_STARTS + 1):
                self._state.ports = self._choose_ports()
                self.folder.save_state(self._state)
                if self._start_servers(is_last=attempt == MAX_STARTS):
                    break
            self.folder.save_environment(self.environment())
        except BaseException:  # Ctrl-C too must leave nothing behind
            self.stop()
            raise
        return self

    def environment(self) -> dict[str, str]:
        """Return the variables that point a producer or a worker at this stack."""
        ports = self._state.ports
        environment = {
            "CHATTERQUEUE_REDIS_URL": f"redis://:{self._state.redis_password}@127.0.0.1:{ports['valkey']}/0",
            "CHATTERQUEUE_S3_ENDPOINT_URL": f"http://127.0.0.1:{ports['s3']}",
            "CHATTERQUEUE_S3_BUCKET": BUCKET,
            "CHATTERQUEUE_S3_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self._state.s3_access_key_id,
            "AWS_SECRET_ACCESS_KEY": self._state.s3_secret_access_key,
        }
        if "AWS_SESSION_TOKEN" in os.environ:  # somebody else's token does not go with our keys
            environment["AWS_SESSION_TOKEN"] = ""
        return environment

    def start_worker(
        self, role: str = "all", *arguments: str, environment: Mapping[str, str] | None = None
    ) -> GuardedProcess:
        """Start a worker on this stack; it ends with the stack.

        Args:
            role: `all`, `gpu` or `cpu`.
            arguments: Further options of the worker's supervisor.
            environment: Variables on top of this process's own and the stack's.
        """
        worker = GuardedProcess(
            f"worker {len(self._workers)}",
            worker_command(role, *arguments),
            log_path=self.folder.log_path(f"worker-{len(self._workers)}"),
            environment={**os.environ, **self.environment(), **(environment or {})},
            grace_s=WORKER_GRACE_S,
            inherited_fds=[self.folder.lock_fd],
        )
        self._workers.append(worker)
        return worker

    def check(self) -> None:
        """Look whether every part still runs.

        Raises:
            StackError: One has ended; its last log lines are in the reason.
        """
        for process in [*self._servers, *self._workers]:
            if process.exit_code is not None:
                raise StackError(process.name, _ended(process))

    def stop(self) -> None:
        """End workers, then servers, and give the folder back; harmless when nothing runs."""
        _stop_all(self._workers)
        self._stop_servers()
        self.folder.unlock()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _choose_ports(self) -> dict[str, int]:
        """Return a port for Valkey and each role of SeaweedFS: the wanted one, the last one, or a free one."""
        wanted = {name: port for name, port in self._wanted_ports.items() if port is not None}
        for name, port in wanted.items():
            if not are_free([port]):
                raise StackError(name, f"port {port}, or the one 10,000 above it, is taken")
        last = {name: port for name, port in self._state.ports.items() if name not in wanted}
        names = [name for name in ("valkey", *ROLES) if name not in wanted]
        if set(last) == set(names) and are_free(last.values()):
            return {**last, **wanted}
        avoiding = {near for port in wanted.values() for near in (port - 10_000, port, port + 10_000)}
        return {**dict(zip(names, free_ports(len(names), avoiding=avoiding), strict=True)), **wanted}

    def _start_servers(self, *, is_last: bool) -> bool:
        """Start both servers; return False if one ended at once and another try with other ports makes sense."""
        state, folder = self._state, self.folder
        ports = state.ports
        config = valkey_config(port=ports["valkey"], password=state.redis_password, folder=folder.valkey_dir)
        valkey = self._server(
            "valkey", [str(find_valkey_server()), str(folder.write_private("valkey.conf", config))], folder.valkey_dir
        )
        s3 = self._server(
            "s3",
            weed_command(find_weed(), folder=folder.s3_dir, ports=ports),
            folder.s3_dir,
            weed_environment(
                folder=folder.s3_dir,
                access_key_id=state.s3_access_key_id,
                secret_access_key=state.s3_secret_access_key,
            ),
        )
        client = probe_client(
            port=ports["s3"], access_key_id=state.s3_access_key_id, secret_access_key=state.s3_secret_access_key
        )
        deadline_s = time.monotonic() + START_S
        try:
            _wait(valkey, lambda: is_valkey_ready(port=ports["valkey"], password=state.redis_password), deadline_s)
            _wait(s3, lambda: is_s3_ready(client), deadline_s)
        except StackError:
            if is_last or any(self._wanted_ports.values()) or all(p.exit_code is None for p in self._servers):
                raise
            self._stop_servers()
            state.ports = {}
            return False
        finally:
            client.close()
        return True

    def _server(
        self, name: str, command: list[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> GuardedProcess:
        process = GuardedProcess(
            name,
            command,
            log_path=self.folder.log_path(name),
            environment=environment or {"PATH": os.environ.get("PATH", "")},
            folder=folder,
            grace_s=SERVER_GRACE_S,
            inherited_fds=[self.folder.lock_fd],
        )
        self._servers.append(process)
        return process

    def _stop_servers(self) -> None:
        _stop_all(self._servers)
        remove_sockets(self._state.ports)


def _stop_all(processes: list[GuardedProcess]) -> None:
    """End processes side by side and forget them."""
    for process in processes:
        process.request_stop()
    for process in processes:
        process.stop()
    processes.clear()


def _wait(process: GuardedProcess, is_ready: Callable[[], bool], deadline_s: float) -> None:
    """Wait until a server is ready, `deadline_s` on the monotonic clock at the latest."""
    while not is_ready():
        if process.exit_code is not None:
            raise StackError(process.name, _ended(process))
        if time.monotonic() > deadline_s:
            raise StackError(process.name, f"not ready after {START_S:g} s; its log: {process.log_path}")
        time.sleep(0.05)


def _ended(process: GuardedProcess) -> str:
    return f"it ended with status {process.exit_code}; its log, {process.log_path}, closes with:\n{process.log_tail()}"
