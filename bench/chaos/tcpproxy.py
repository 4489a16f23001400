"""A TCP proxy that hurts what goes through it, with the toxics of toxiproxy under their names.

latency        every chunk waits `latency` and up to `jitter` ms
bandwidth      `rate` kB/s
slicer         chunks of about `average_size` bytes, `delay` us apart
timeout        nothing gets through until it is removed, as in a partition; 0 ms and no other is known here
reset_peer     the connection is reset after `timeout` ms
limit_data     the connection is closed after `bytes`
down           nobody is let in, and whoever is in is thrown out

and one of our own: lose_reply, which lets a request that holds `pattern` through and resets the connection instead of
bringing the reply, for a share `probability` of them and `count` times at most. Knows no protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from typing import Any

CHUNK_BYTES = 64 * 1024

#: Seconds between two looks at whether a partition has ended.
LOOK_S = 0.02


class TcpProxy:
    """One listening port before one server; toxics come and go while it runs. A context manager."""

    def __init__(self, upstream_port: int, seed: str) -> None:
        self.port = 0
        self.num_connections = 0
        self.num_lost_replies = 0
        self._upstream_port = upstream_port
        self._random = random.Random(seed)
        self._toxics: dict[str, dict[str, Any]] = {}
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tcp-proxy", daemon=True)

    def __enter__(self) -> TcpProxy:
        self._thread.start()
        self._is_up.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def add(self, toxic: str, **attributes: Any) -> None:
        """Add a toxic, or change one."""
        self._toxics = {**self._toxics, toxic: attributes}
        if toxic == "down":
            self.reset_all()

    def remove(self, toxic: str) -> None:
        """Take a toxic away."""
        self._toxics = {name: attributes for name, attributes in self._toxics.items() if name != toxic}

    def reset_all(self) -> None:
        """Reset every connection that is open now."""
        self._loop.call_soon_threadsafe(lambda: [_reset(writer) for writer in list(self._open)])

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._is_up.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        for writer in list(self._open):
            _reset(writer)
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        self._open.add(client_writer)
        try:
            if "down" in self._toxics:
                return
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            self._open.add(server_writer)
            connection = _Connection(client_writer, server_writer)
            both = [
                asyncio.ensure_future(self._pump(client_reader, server_writer, connection, is_request=True)),
                asyncio.ensure_future(self._pump(server_reader, client_writer, connection, is_request=False)),
                asyncio.ensure_future(self._end_early(connection)),
            ]
            await asyncio.wait(both[:2], return_when=asyncio.FIRST_COMPLETED)
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            self._open.discard(server_writer)
            _reset(server_writer) if connection.is_lost else server_writer.close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(client_writer)
            _reset(client_writer) if "down" in self._toxics else client_writer.close()

    async def _end_early(self, connection: _Connection) -> None:
        while (toxic := self._toxics.get("reset_peer")) is None:
            await asyncio.sleep(LOOK_S)
        await asyncio.sleep(toxic.get("timeout", 0) / 1000)
        connection.reset()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: _Connection, *, is_request: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                while "timeout" in self._toxics:
                    await asyncio.sleep(LOOK_S)
                if is_request:
                    connection.is_lost |= self._is_reply_to_be_lost(chunk)
                elif connection.is_lost:
                    self.num_lost_replies += 1
                    connection.reset()
                    return
                await self._write(writer, chunk, connection)

    def _is_reply_to_be_lost(self, chunk: bytes) -> bool:
        toxic = self._toxics.get("lose_reply")
        if toxic is None or self.num_lost_replies >= toxic["count"] or toxic["pattern"] not in chunk:
            return False
        return self._random.random() < toxic["probability"]

    async def _write(self, writer: asyncio.StreamWriter, chunk: bytes, connection: _Connection) -> None:
        if latency := self._toxics.get("latency"):
            await asyncio.sleep((latency["latency"] + self._random.uniform(0, latency.get("jitter", 0))) / 1000)
        if bandwidth := self._toxics.get("bandwidth"):
            await asyncio.sleep(len(chunk) / (bandwidth["rate"] * 1000))
        slicer = self._toxics.get("slicer")
        size = slicer["average_size"] if slicer else len(chunk)
        for start in range(0, len(chunk), size):
            writer.write(chunk[start : start + size])
            await writer.drain()
            if slicer:
                await asyncio.sleep(slicer.get("delay", 0) / 1e6)
        connection.num_bytes += len(chunk)
        if (limit := self._toxics.get("limit_data")) and connection.num_bytes >= limit["bytes"]:
            connection.reset()


class _Connection:
    """Both halves of one connection."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._writers = (client, server)
        self.num_bytes = 0
        self.is_lost = False

    def reset(self) -> None:
        for writer in self._writers:
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST: whoever reads from it gets an error and no end of file."""
    with contextlib.suppress(OSError, AttributeError):
        linger_not = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
    writer.transport.abort()
