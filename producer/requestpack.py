"""Requests on their way to S3: one object for one narration, or many in a pack, so that a bulk submit is few PUTs.

Knows nothing of S3; it makes bytes, keys and references.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from producer.contract import keys
from producer.contract.narration import NarrationRequest

#: Bytes of a pack: one PUT, small enough for a slow line. A larger request is a pack of its own.
MAX_PACK_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Pack:
    """An object of one or more requests, a line each."""

    key: str
    content: bytes
    content_type: str = "application/json"
    #: Another process may store the same under the same key, and its record may point here.
    is_shared: bool = False


def packs_of(requests: Iterable[NarrationRequest], batch_id: str) -> tuple[list[Pack], list[str]]:
    """Return the packs of a batch and, for each request, its reference `key#offset+length`."""
    packs: list[Pack] = []
    refs: list[str] = []
    lines: list[bytes] = []
    size_bytes = 0

    def close_pack() -> None:
        packs.append(Pack(keys.request_pack_key(batch_id, len(packs)), b"".join(lines), "application/x-ndjson"))
        lines.clear()

    for request in requests:
        line = request.model_dump_json().encode()
        if lines and size_bytes + len(line) + 1 > MAX_PACK_BYTES:
            close_pack()
            size_bytes = 0
        refs.append(f"{keys.request_pack_key(batch_id, len(packs))}#{size_bytes}+{len(line)}")
        lines.append(line + b"\n")
        size_bytes += len(line) + 1
    if lines:
        close_pack()
    return packs, refs
