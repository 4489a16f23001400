"""Fetches a checkpoint as chatterbox-tts does, for `from_pretrained`; workers use `chatterqueue models fetch` instead.

Knows nothing of what is in the files.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from worker.models.store.catalog import DEFAULT_REPO, Parts, files_of

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)


def fetch_from_hub(files: Parts) -> Path:
    """Return the folder of the hub's cache that holds these files, after fetching what is not there."""
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(repo_id=DEFAULT_REPO, repo_type="model", allow_patterns=list(files_of(files.model))))


def usable_device(device: str | torch.device) -> str | torch.device:
    """Return the device, or the CPU in place of an Apple GPU that torch cannot use, as chatterbox-tts does."""
    import torch

    if str(device) == "mps" and not torch.backends.mps.is_available():
        logger.warning("device_replaced", extra={"device": "mps", "replacement": "cpu"})
        return "cpu"
    return device
