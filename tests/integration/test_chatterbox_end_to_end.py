"""The multilingual model by one command: small weights without a lock, and the watermark at the end.

The English one, locked, is in test_worker_weights.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lockedcheckpoint import linked, locked_checkpoint
from small_checkpoint import BOTH, cached_checkpoint
from watermarks import watermark_in

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # perth and librosa warn at every turn
]

CHATTERQUEUE = [sys.executable, "-c", "import sys; from producer.cli import main; sys.exit(main())"]

TEXT = "La lampe fut allumée."


def unlocked_folder(folder: Path) -> Path:
    """Return a folder with the multilingual model only, as somebody has copied it: no lock, `.pt` files."""
    linked(locked_checkpoint(), folder)
    for path in cached_checkpoint(BOTH).glob("*.pt"):
        (folder / path.name).symlink_to(path)
    (folder / "models.lock.json").unlink()
    (folder / "t3_cfg.safetensors").unlink()
    return folder


def test_the_watermark_is_in_the_finished_audio_when_the_multilingual_model_has_spoken(tmp_path: Path) -> None:
    text_path = tmp_path / "text.txt"
    text_path.write_text(TEXT)
    audio_path = tmp_path / "audio.flac"
    environment = {
        **os.environ,
        "CHATTERQUEUE_MODEL_DIR": str(unlocked_folder(tmp_path / "model")),
        "CHATTERQUEUE_DEVICE": "cpu",
        "CHATTERQUEUE_MAX_RETAKES": "0",  # random weights babble, and would do so again
        "CHATTERQUEUE_HEARTBEAT_DIR": str(tmp_path / "heartbeat"),
    }
    arguments = ["narrate", str(text_path), "-o", str(audio_path), "--language", "fr", "--engine", "chatterbox"]

    finished = subprocess.run(
        [*CHATTERQUEUE, *arguments, "--local", "--data-dir", str(tmp_path / "data")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr[-3000:]
    assert watermark_in(audio_path) == pytest.approx(1.0, abs=0.05)
