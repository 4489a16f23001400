"""The page's server: one thread that answers HTTP on one address, for as long as somebody wants it.

Knows nothing of what is answered.
"""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Final, Self

import uvicorn
from starlette.types import ASGIApp

from producer.contract.errors import SettingsError

#: Connections at a time; further ones are told to come back. A browser holds six.
MAX_CONNECTIONS: Final = 100

#: Bytes of the longest head of a request, and seconds that an idle connection stays.
MAX_HEAD_BYTES: Final = 16_384
KEEP_ALIVE_S: Final = 10

#: Seconds that answers under way have when the server ends.
GRACE_S: Final = 2

#: Connections that wait to be taken.
_BACKLOG: Final = 64

#: Addresses that mean all of a machine's -> one of them.
_REACHED_AT: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class PageServer:
    """Answers with an ASGI application from `start` to `stop`; a context manager."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        """Take the address; nothing is answered yet.

        Args:
            app: what answers.
            host: address to listen on.
            port: 0: any that is free.

        Raises:
            SettingsError: the address cannot be had.
        """
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SettingsError([f"the page cannot listen on {host}, port {port}: {reason}"]) from error
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                # Whoever started us says what is logged, and nobody logs requests.
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                # Nothing in front of us is trusted to say who asks.
                proxy_headers=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=GRACE_S,
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            )
        )
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="page", daemon=True)

    @property
    def address(self) -> str:
        """Where a browser on this machine finds the page."""
        host = _REACHED_AT.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    @property
    def is_running(self) -> bool:
        """Say whether it still answers."""
        return self._thread.is_alive()

    def start(self) -> Self:
        """Answer from now on."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Answer no more; returns when the thread has ended."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(GRACE_S + 5)
        self._socket.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
