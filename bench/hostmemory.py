"""What a process has of the host's memory: in RAM by kind, and of it what somebody has asked for.

Knows nothing of what it is needed for.
"""

from __future__ import annotations

import ctypes
import functools
import re
from pathlib import Path
from typing import Final

_MIB: Final = 2**20


class _Mallinfo2(ctypes.Structure):
    """What `mallinfo2(3)` of glibc returns: bytes, of all arenas together."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def host_memory() -> dict[str, float | None]:
    """Return MiB of this process.

    Returns:
        `host_rss_mib`: in RAM; `host_anonymous_mib`: of it what belongs to no file; `host_asked_for_mib`: what was
        allocated with malloc and not freed, None without glibc 2.33. If the first grows and the last does not, the
        allocator keeps what it was given back.
    """
    status = Path("/proc/self/status").read_text("utf-8")
    kib = {name: int(number) for name, number in re.findall(r"^(VmRSS|RssAnon):\s+(\d+) kB$", status, re.MULTILINE)}
    info = _mallinfo2()
    return {
        "host_rss_mib": round(kib["VmRSS"] / 1024, 1),
        "host_anonymous_mib": round(kib["RssAnon"] / 1024, 1),
        "host_asked_for_mib": None if info is None else round((info.uordblks + info.hblkhd) / _MIB, 1),
    }


def _mallinfo2() -> _Mallinfo2 | None:
    function = _function()
    return None if function is None else function()


@functools.cache
def _function() -> ctypes._NamedFuncPointer | None:
    function = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if function is not None:
        function.restype = _Mallinfo2
    return function
