"""The data folder of an embedded stack: its lock, its credentials, and what it tells other processes.

Knows nothing of how the servers are started. Everything in it that holds a secret is readable by its owner only.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shlex
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from producer.contract.errors import StackError

#: Seconds that a stack which is just ending is waited for; SeaweedFS needs 2 to 5 to end.
ENDING_S: Final = 25.0


@dataclass(slots=True)
class StackState:
    """What stays the same over restarts: credentials, and the ports if they are still free."""

    redis_password: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    s3_access_key_id: str = field(default_factory=lambda: secrets.token_hex(10).upper())
    s3_secret_access_key: str = field(default_factory=lambda: secrets.token_urlsafe(30))
    ports: dict[str, int] = field(default_factory=dict)


class DataFolder:
    """One folder, used by one stack at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.valkey_dir = self.path / "valkey"
        self.s3_dir = self.path / "s3"
        self.log_dir = self.path / "logs"
        self._lock_fd: int | None = None

    @property
    def environment_path(self) -> Path:
        """The file that another terminal can read the environment from; there while the stack runs."""
        return self.path / "environment"

    @property
    def lock_fd(self) -> int:
        """The descriptor of the lock: whoever inherits it holds the folder until it ends."""
        assert self._lock_fd is not None, "the folder is locked first"
        return self._lock_fd

    def lock(self) -> None:
        """Take the folder for this process, making it if it is not there.

        Raises:
            StackError: It cannot be written, or another stack runs in it.
        """
        try:
            for folder in (self.path, self.valkey_dir, self.s3_dir, self.log_dir):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock_fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StackError("data folder", f"{self.path}: {error.strerror}") from error
        try:
            self._take(lock_fd)
        except BaseException:
            os.close(lock_fd)
            raise
        self._lock_fd = lock_fd

    def _take(self, lock_fd: int) -> None:
        deadline_s = time.monotonic() + ENDING_S
        while True:
            try:
                fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.pread(lock_fd, 32, 0).decode(errors="replace").strip()
                if _is_running(owner) or time.monotonic() > deadline_s:
                    raise StackError("data folder", self._in_use(owner)) from None
                time.sleep(0.1)  # its owner is gone and its servers are just ending
            else:
                os.ftruncate(lock_fd, 0)
                os.pwrite(lock_fd, str(os.getpid()).encode(), 0)
                return

    def _in_use(self, owner: str) -> str:
        return (
            f"{self.path} is in use by process {owner or 'unknown'}; to use the stack that runs there: "
            f". {shlex.quote(str(self.environment_path))}; or choose another folder with --data-dir"
        )

    def unlock(self) -> None:
        """Give the folder back; the guards of processes that still end hold it a little longer."""
        self.environment_path.unlink(missing_ok=True)
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def load_state(self) -> StackState:
        """Return the credentials of the last start, or new ones.

        Raises:
            StackError: The file is there and cannot be read.
        """
        path = self.path / "state.json"
        try:
            return StackState(**json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return StackState()
        except (OSError, ValueError, TypeError) as error:
            raise StackError("data folder", f"{path} cannot be read: {type(error).__name__}") from error

    def save_state(self, state: StackState) -> None:
        """Keep the credentials and ports for the next start."""
        self.write_private("state.json", json.dumps(asdict(state), indent=2))

    def save_environment(self, environment: Mapping[str, str]) -> None:
        """Write the environment as a file that a shell can source."""
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()]
        self.write_private(self.environment_path.name, "".join(lines))

    def write_private(self, name: str, text: str) -> Path:
        """Write a file that only its owner may read; it is there whole or not at all."""
        path = self.path / name
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        try:
            part.touch(mode=0o600, exist_ok=False)
            part.write_text(text, "utf-8")
            part.replace(path)
        except OSError as error:
            raise StackError("data folder", f"{path}: {error.strerror}") from error
        return path

    def log_path(self, name: str) -> Path:
        """Return a fresh log's path; the log of the start before is kept as `<name>.log.1`."""
        path = self.log_dir / f"{name}.log"
        with contextlib.suppress(FileNotFoundError):
            path.replace(path.with_name(f"{path.name}.1"))
        path.touch(mode=0o600)
        return path


def _is_running(owner: str) -> bool:
    if not owner.isdigit():
        return False
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
