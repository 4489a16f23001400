"""Hashes of whole files: SHA-256 for the lock, and git's own for what the hub keeps in git."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

#: Files hashed at once; hashing lets go of the interpreter lock, and a disk is seldom faster than four cores.
_MAX_HASHERS: Final = 4
#: Bytes hashed between two turns of the interpreter lock: a start imports meanwhile, and gives it up every 5 ms.
_CHUNK_BYTES: Final = 8 << 20


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: if it cannot be read.
    """
    return _fed(hashlib.sha256(), path).hexdigest()


def sha256_of_all(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the SHA-256 of each file, several at a time.

    Raises:
        OSError: if one cannot be read.
    """
    unique = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(min(_MAX_HASHERS, os.cpu_count() or 1)) as pool:
        return dict(zip(unique, pool.map(sha256_of, unique), strict=True))


def git_blob_sha1_of(path: Path) -> str:
    """Return git's name for a file's content, which is the hub's ETag of a file that is not in large file storage."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    return _fed(digest, path).hexdigest()


def _fed(digest: hashlib._Hash, path: Path) -> hashlib._Hash:
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest
