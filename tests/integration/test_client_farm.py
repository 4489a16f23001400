"""The client with a real worker: from a text to a file, a URL and a manifest."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from producer import Client, Narration, NarrationStatus, Settings, State

pytestmark = pytest.mark.integration


def test_a_narration_goes_in_and_its_audio_comes_out(settings: Settings, start_worker, tmp_path: Path):
    start_worker("tone")
    seen: list[NarrationStatus] = []
    with Client(settings) as client:
        text = "This is the first sentence. Here is the second one, and it is longer.\n\nA third follows."
        job = client.submit(Narration(text=text, format="wav", custom_id="chapter 1"))
        status = job.wait(timeout_s=60, on_progress=lambda statuses: seen.extend(statuses))
        assert status.state is State.SUCCEEDED
        assert seen[-1] == status
        path = tmp_path / "out.wav"
        path.write_bytes(b"what was there before")
        job.download(path)
        assert path.stat().st_size == status.size_bytes
        assert path.read_bytes()[:4] == b"RIFF"
        with urllib.request.urlopen(job.url(expires=60), timeout=10) as response:
            assert response.headers["Content-Disposition"] == "attachment; filename*=UTF-8''chapter-1.wav"
            assert response.read() == path.read_bytes()
        manifest = job.manifest()
        assert manifest.narration_id == job.id
        assert manifest.audio is not None
        assert manifest.audio.size_bytes == status.size_bytes
        assert " ".join(text[segment.start : segment.end] for segment in manifest.segments).split() == text.split()


def test_a_batch_ends_as_a_whole(settings: Settings, start_worker):
    start_worker("tone")
    with Client(settings) as client:
        batch = client.submit_many([Narration(text=f"This is number {number}.") for number in range(20)])
        assert {status.state for status in batch.wait(timeout_s=60)} == {State.SUCCEEDED}
