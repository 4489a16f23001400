"""The multilingual model by one command: small weights without a lock, the watermark and words with times at the end.

The English one, locked, is in test_worker_weights.
"""

from __future__ import annotations

import json
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

#: Two segments. Random attention gets near the end of a very short text only, so the second one has words for certain.
TEXT = "La lampe fut allumée.\n\nUn mot."


def unlocked_folder(folder: Path) -> Path:
    """Return a folder with the multilingual model only, as somebody has copied it: no lock, `.pt` files."""
    linked(locked_checkpoint(), folder)
    for path in cached_checkpoint(BOTH).glob("*.pt"):
        (folder / path.name).symlink_to(path)
    (folder / "models.lock.json").unlink()
    (folder / "t3_cfg.safetensors").unlink()
    return folder


def test_the_watermark_and_times_of_words_are_there_when_the_multilingual_model_has_spoken(tmp_path: Path) -> None:
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
    arguments = [
        "narrate",
        str(text_path),
        "-o",
        str(audio_path),
        "--language",
        "fr",
        "--engine",
        "chatterbox",
        "--all",
    ]

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
    segments = json.loads(audio_path.with_suffix(".json").read_text())["segments"]
    assert len(segments) == 2
    assert segments[1]["words"]
    for segment in segments:
        words = segment.get("words", [])
        ends_s = segment["offset_s"] + segment["duration_s"]
        times = [segment["offset_s"], *(word[time] for word in words for time in ("start_s", "end_s")), ends_s]
        assert times == sorted(times)
        assert all(word["word"] == TEXT[word["start_char"] : word["end_char"]] for word in words)
