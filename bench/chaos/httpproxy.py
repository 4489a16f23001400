"""An HTTP proxy before the S3 server that answers in its place, loses answers, stalls and resets, as a plan says.

AWS signatures cover the Host header, so requests go through as they came, with the proxy's own address in it: the
server verifies what was signed and does not ask whether it is its own name. Knows nothing of objects.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

#: What becomes of a request. `status`: answered here; `lost`: carried out, the answer lost; `stall`: half of the
#: answer's body, then nothing for a while; `cut`: half of it, then a reset; `reset`: a reset before it was sent on.
Kind = Literal["status", "lost", "stall", "cut", "reset"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one request."""

    kind: Kind
    status: int = 503
    code: str = "SlowDown"
    stall_s: float = 35.0


#: Asked for every request: method, path with query, and the request's number from 1.
Plan = Callable[[str, str, int], Fault | None]

_HEAD_LIMIT = 256 * 1024


class HttpProxy:
    """One listening port before one HTTP server. A context manager."""

    def __init__(self, upstream_port: int) -> None:
        self.port = 0
        self.plan: Plan | None = None
        self.num_requests = 0
        #: Faults so far, by kind.
        self.faults: Counter[str] = Counter()
        self._upstream_port = upstream_port
        self._loop = asyncio.new_event_loop()
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="http-proxy", daemon=True)

    def __enter__(self) -> HttpProxy:
        self._thread.start()
        self._is_up.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        serving = asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_HEAD_LIMIT)
        server = self._loop.run_until_complete(serving)
        self.port = server.sockets[0].getsockname()[1]
        self._is_up.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                head = await _read_head(reader)
                method, path = head.split(b" ", 2)[:2]
                if b"\r\nexpect: 100-continue" in head.lower():
                    head = _without(head, b"expect")  # not signed, and answered here
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await reader.readexactly(_length(head) or 0)
                self.num_requests += 1
                fault = self.plan(method.decode(), path.decode(), self.num_requests) if self.plan else None
                if fault is not None:
                    self.faults[fault.kind] += 1
                if fault is not None and fault.kind == "status":
                    writer.write(_error(method, fault))
                    await writer.drain()
                    continue
                if fault is not None and fault.kind == "reset":
                    writer.transport.abort()
                    return
                if upstream is None:
                    upstream = await asyncio.open_connection("127.0.0.1", self._upstream_port, limit=_HEAD_LIMIT)
                answer = await _exchange(upstream, method, head, body)
                if await _hand_on(writer, answer, fault):
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, upstream[1] if upstream else None):
                if end is not None:
                    with contextlib.suppress(RuntimeError):
                        end.close()


async def _exchange(
    upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter], method: bytes, head: bytes, body: bytes
) -> bytes:
    """Return the server's whole answer."""
    reader, writer = upstream
    writer.write(head + body)
    await writer.drain()
    answer = await _read_head(reader)
    status = int(answer.split(b" ", 2)[1])
    if method == b"HEAD" or status in (204, 304):
        return answer
    length = _length(answer)
    if length is not None:
        return answer + await reader.readexactly(length)
    if b"\r\ntransfer-encoding: chunked" not in answer.lower():
        return answer + await reader.read()
    while True:
        size_line = await reader.readuntil(b"\r\n")
        chunk = await reader.readexactly(int(size_line.split(b";")[0], 16) + 2)
        answer += size_line + chunk
        if size_line.startswith(b"0"):
            return answer


async def _hand_on(writer: asyncio.StreamWriter, answer: bytes, fault: Fault | None) -> bool:
    """Send an answer to the client; return whether the connection is over."""
    if fault is None:
        writer.write(answer)
        await writer.drain()
        return False
    if fault.kind != "lost":
        head, _, body = answer.partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n" + body[: len(body) // 2] if body else head[: len(head) // 2])
        await writer.drain()
        await asyncio.sleep(fault.stall_s if fault.kind == "stall" else 0.01)
    writer.transport.abort()
    return True


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def _length(head: bytes) -> int | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return None


def _without(head: bytes, name: bytes) -> bytes:
    return b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(name + b":"))


def _error(method: bytes, fault: Fault) -> bytes:
    body = f"<Error><Code>{fault.code}</Code><Message>made by the fault proxy</Message></Error>".encode()
    head = f"HTTP/1.1 {fault.status} Fault\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + (b"" if method == b"HEAD" else body)
