"""Chatterbox through the whole farm: small checkpoints, the real classes and files, and the watermark at the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from lockedcheckpoint import linked, locked_checkpoint
from small_checkpoint import BOTH, cached_checkpoint

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # perth and librosa warn at every turn
]

CHATTERQUEUE = [sys.executable, "-c", "import sys; from producer.cli import main; sys.exit(main())"]

TEXTS = {
    "en": "The lamp was lit at nine. Nobody came to see it.",
    "fr": "La lampe fut allumée à neuf heures. Personne ne vint la voir.",
}


def folder_with(model: str, folder: Path) -> Path:
    """Return a model folder that serves one model only and has no lock, so that the worker loads half as much."""
    linked(locked_checkpoint(), folder)
    for path in cached_checkpoint(BOTH).glob("*.pt"):
        (folder / path.name).symlink_to(path)
    (folder / "models.lock.json").unlink()
    (folder / {"english": "t3_mtl23ls_v2.safetensors", "multilingual": "t3_cfg.safetensors"}[model]).unlink()
    return folder


def watermark_in(path: Path) -> float:
    """Return the mean of the watermark's bits as the package's own detector reads them: 1.0 is there, 0.0 is not."""
    import perth

    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate_hz = container.streams.audio[0].rate
    pcm = np.concatenate(frames, axis=1)[0]
    pcm = pcm / 32768 if pcm.dtype == np.int16 else pcm
    return float(np.mean(perth.PerthImplicitWatermarker().get_watermark(pcm.astype(np.float32), sample_rate=rate_hz)))


@pytest.mark.parametrize(
    ("model", "language", "audio_format"), [("english", "en", "mp3"), ("multilingual", "fr", "flac")]
)
def test_the_watermark_is_in_the_finished_audio_when_chatterbox_has_spoken(
    model: str, language: str, audio_format: str, tmp_path: Path
) -> None:
    text_path = tmp_path / "text.txt"
    text_path.write_text(TEXTS[language])
    audio_path = tmp_path / f"audio.{audio_format}"
    environment = {
        **os.environ,
        "CHATTERQUEUE_MODEL_DIR": str(folder_with(model, tmp_path / "model")),
        "CHATTERQUEUE_DEVICE": "cpu",
        "CHATTERQUEUE_HEARTBEAT_DIR": str(tmp_path / "heartbeat"),
    }
    arguments = ["narrate", str(text_path), "-o", str(audio_path), "--language", language, "--engine", "chatterbox"]

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
