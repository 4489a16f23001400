"""TLS in front of a server that speaks none: a thread that takes connections, and passes on what is in them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self


class TlsProxy:
    """Listens on a loopback port of its own with a folder's `server.crt` and `server.key`."""

    def __init__(self, folder: Path, backend_port: int) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "server.crt", folder / "server.key")
        self._backend_port = backend_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tls-proxy", daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Ended with the test that it is for: asyncio calls a connection that was cancelled an error.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            self._writers.add(writer)
            from_backend, to_backend = await asyncio.open_connection("127.0.0.1", self._backend_port)
            self._writers.add(to_backend)
            await asyncio.gather(_pass_on(reader, to_backend), _pass_on(from_backend, writer))

    async def _end(self) -> None:
        for writer in self._writers:
            writer.transport.abort()  # a polite end of TLS waits for the other side
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # for the sockets, which are closed in later turns of the loop


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:  # one side has gone; the other one is told by closing
        pass
    finally:
        writer.close()
