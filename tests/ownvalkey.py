"""A Valkey of a test's own, which it may empty, kill, and rob of its last writes."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from producer.stack.ports import free_ports
from producer.stack.valkey import find_valkey_server, is_valkey_ready, valkey_config

PASSWORD = "a-test"


class OwnValkey:
    """One server on a port and a folder that stay the same over its restarts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (self._port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it and wait until it has read its file."""
        config = self._folder / "valkey.conf"
        config.write_text(valkey_config(port=self._port, password=PASSWORD, folder=self._folder))
        with (self._folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen([str(find_valkey_server()), str(config)], stdout=log, stderr=log)
        deadline_s = time.monotonic() + 30.0
        while not is_valkey_ready(port=self._port, password=PASSWORD):
            assert self._process.poll() is None, (self._folder / "valkey.log").read_text()
            assert time.monotonic() < deadline_s, "Valkey is not ready"
            time.sleep(0.05)

    def kill9(self) -> None:
        """End it as a loss of power does, but for what the disk has not written."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def cut_tail(self, keep: float) -> None:
        """Lose the end of the append-only file, as if the disk had not written it: keep this part of it."""
        (written,) = self._folder.glob("appendonlydir/*.incr.aof")
        data = written.read_bytes()
        written.write_bytes(data[: int(len(data) * keep)])

    def size_bytes(self) -> int:
        """Return the size of the append-only file."""
        return sum(path.stat().st_size for path in self._folder.glob("appendonlydir/*.incr.aof"))
