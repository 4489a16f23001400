"""Messages over a stream socket between two processes of ours: an object goes in, an equal one comes out.

Objects are pickled (protocol 5); the memory of their arrays is left out of the pickle and follows it as it is, so that
neither side copies audio (PEP 574). Each call of the socket lets other threads have the interpreter's lock, and in a
busy process they keep it for a while; so there are as few as possible: one to send a message, one or two to receive it.

Whoever is connected is trusted: the socket has no name, and both ends are held by processes that started each other.
Knows nothing of what is said.
"""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

#: Bytes of the pickle, number of arrays.
_HEAD: Final = struct.Struct("<QI")
#: Bytes of an array.
_SIZE: Final = struct.Struct("<Q")

#: Bytes that are received at once, where a message begins: several small ones, or the pickle of a take.
_AHEAD_BYTES: Final = 65_536

#: A message on its way: the pickle with its sizes in front, then arrays.
Frame = Sequence[bytes | memoryview]


def frame_of(message: object) -> Frame:
    """Return a message as what goes over the wire; arrays are not copied, so nobody may change them.

    Raises:
        Exception: whatever `pickle` raises of an object that it cannot take apart.
    """
    arrays: list[pickle.PickleBuffer] = []
    body = pickle.dumps(message, protocol=5, buffer_callback=arrays.append)
    views = [array.raw() for array in arrays]
    sizes = b"".join(_SIZE.pack(view.nbytes) for view in views)
    return [b"".join((_HEAD.pack(len(body), len(views)), sizes, body)), *views]


class Channel:
    """One end. One thread may write while another reads."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        #: Received, and not asked for yet.
        self._ahead = memoryview(b"")

    def write(self, frame: Frame) -> None:
        """Send a message; blocks while the other side does not read.

        Raises:
            OSError: the other side is gone.
        """
        rest = [memoryview(part) for part in frame]
        while rest:
            rest = _behind(rest, self._socket.sendmsg(rest))

    def receive(self) -> Any:
        """Wait for a message and return it; its arrays are new and can be written to.

        Raises:
            EOFError: the other side is gone.
            OSError: the same.
        """
        body_bytes, num_arrays = _HEAD.unpack(self._next(_HEAD.size))
        sizes = [size for (size,) in _SIZE.iter_unpack(self._next(num_arrays * _SIZE.size))]
        body = self._next(body_bytes)
        arrays = [np.empty(size, np.uint8).data for size in sizes]  # not filled before they are written to
        self._fill(arrays)
        return pickle.loads(body, buffers=arrays)  # noqa: S301 - by a process of ours

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def _next(self, num_bytes: int) -> memoryview:
        """Return the next bytes, few of them; what comes with them is kept."""
        while self._ahead.nbytes < num_bytes:
            more = self._socket.recv(max(_AHEAD_BYTES, num_bytes))
            if not more:
                raise EOFError
            self._ahead = memoryview(b"".join((self._ahead, more)))
        taken, self._ahead = self._ahead[:num_bytes], self._ahead[num_bytes:]
        return taken

    def _fill(self, parts: Sequence[memoryview]) -> None:
        """Write the next bytes into some memory, one part after the other."""
        rest = []
        for part in parts:
            num_here = min(part.nbytes, self._ahead.nbytes)
            part[:num_here], self._ahead = self._ahead[:num_here], self._ahead[num_here:]
            rest.append(part[num_here:])
        rest = _behind(rest, 0)
        while rest:
            num_read, *_ = self._socket.recvmsg_into(rest, 0, socket.MSG_WAITALL)
            if num_read == 0:
                raise EOFError
            rest = _behind(rest, num_read)


def _behind(parts: Sequence[memoryview], num_bytes: int) -> list[memoryview]:
    """Return what of some memory comes after so many bytes; nothing of it is empty."""
    rest = []
    for part in parts:
        num_here = min(part.nbytes, num_bytes)
        num_bytes -= num_here
        if part.nbytes > num_here:
            rest.append(part[num_here:])
    return rest
