"""Messages over a stream socket between two processes of ours: an object goes in, an equal one comes out.

Objects are pickled (protocol 5); the memory of their arrays is left out of the pickle and follows it as it is, so that
neither side copies audio (PEP 574). Whoever is connected is trusted: the socket has no name, and both ends are held by
processes that started each other. Knows nothing of what is said.
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

    def write(self, frame: Frame) -> None:
        """Send a message; blocks while the other side does not read.

        Raises:
            OSError: the other side is gone.
        """
        for part in frame:
            self._socket.sendall(part)

    def receive(self) -> Any:
        """Wait for a message and return it; its arrays are new and can be written to.

        Raises:
            EOFError: the other side is gone.
            OSError: the same.
        """
        body_bytes, num_arrays = _HEAD.unpack(self._read(_HEAD.size))
        sizes = [size for (size,) in _SIZE.iter_unpack(self._read(num_arrays * _SIZE.size))]
        body = self._read(body_bytes)
        return pickle.loads(body, buffers=[self._read(size) for size in sizes])  # noqa: S301 - by a process of ours

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def _read(self, num_bytes: int) -> memoryview:
        """Return the next bytes; they are received without the interpreter's lock, however many they are."""
        data = np.empty(num_bytes, np.uint8).data  # not filled before it is written to
        rest = data
        while rest.nbytes:
            num_read = self._socket.recv_into(rest, rest.nbytes, socket.MSG_WAITALL)
            if num_read == 0:
                raise EOFError
            rest = rest[num_read:]
        return data
