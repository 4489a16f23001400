"""Conditionals on this machine's disk: what a model made of a voice is made once, and not at every start.

Knows nothing of models or of how conditionals are made. A file counts only if all that it says of itself is right.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch  # noqa: TID253 - imported with the engine that needs it
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from worker.diskcache import DiskCache

logger = logging.getLogger(__name__)

#: Part of every file's name: raise it when a change of ours alters what is in the files.
FORMAT: Final = 1

#: Bytes of all files; one takes some 200 KB.
MAX_BYTES: Final = 500_000_000


class ConditionalsShelf:
    """The conditionals that one model made. Several processes may share the folder."""

    def __init__(self, folder: Path, identity: str, *, max_bytes: int = MAX_BYTES) -> None:
        """Take a folder, which need not be there.

        Args:
            folder: where the files are; one that others can write to is not used.
            identity: all that decides what the model makes of a voice: its name, revision, packages.
            max_bytes: of all files together, those of other models included.
        """
        self._folder = folder
        self._identity = identity
        self._files = DiskCache(folder, suffix=".safetensors", max_bytes=max_bytes)

    def path(self, voice_sha256: str) -> Path:
        """Return where the conditionals of a voice are, or would be."""
        of_model = hashlib.sha256(f"{FORMAT}\n{self._identity}".encode()).hexdigest()
        return self._files.path(f"{voice_sha256}-{of_model[:16]}")

    def get(self, voice_sha256: str) -> dict[str, torch.Tensor] | None:
        """Return the tensors of a voice, on the CPU; None if they are not there, or not what they should be."""
        path = self.path(voice_sha256)
        if not path.is_file() or not self._is_ours():
            return None
        try:
            with safe_open(path, framework="pt", device="cpu") as file:  # type: ignore[no-untyped-call]
                about = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            _note_refusal(path, type(error).__name__)
            return None
        if about != self._about(voice_sha256, tensors):
            _note_refusal(path, "it is of something else, or was changed")
            return None
        self._files.touch(path)
        return tensors

    def put(self, voice_sha256: str, tensors: Mapping[str, torch.Tensor]) -> None:
        """Keep the tensors of a voice, if the disk takes them: without them it is made again, which takes seconds."""
        path = self.path(voice_sha256)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._is_ours():
                logger.warning("conditionals_not_kept", extra={"reason": "others can write to the folder"})
                return
            with self._files.writing(path) as unfinished:
                save_file(dict(tensors), unfinished, metadata=self._about(voice_sha256, tensors))
        except (OSError, SafetensorError) as error:
            logger.warning("conditionals_not_kept", extra={"file": path.name, "reason": type(error).__name__})

    def _about(self, voice_sha256: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
        return {
            "format": str(FORMAT),
            "voice": voice_sha256,
            "identity": self._identity,
            "content": _content_hash(tensors),
        }

    def _is_ours(self) -> bool:
        """Say whether nobody else can have put files there: the cache may lie in `/tmp`, and a hash can be imitated."""
        if os.name != "posix":
            return True
        status = self._folder.stat()
        return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _note_refusal(path: Path, reason: str) -> None:
    """Log a file that is not used. It is not removed: what is made now replaces it, as somebody else may have done."""
    logger.warning("conditionals_refused", extra={"file": path.name, "reason": reason})


def _content_hash(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
