"""The farm as its users meet it: the command line, the embedded stack, a worker, and the finished files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from listening import sentences_heard, transcribe

from worker.engine.fingerprint import decode_tones, tone_hash
from worker.text import split

pytestmark = [pytest.mark.integration, pytest.mark.slow]

EXAMPLE_TEXT = next((Path(__file__).parents[2] / "examples" / "texts").glob("*.txt"))
CHATTERQUEUE = [sys.executable, "-c", "import sys; from producer.cli import main; sys.exit(main())"]

#: Narrations in the bulk test: enough for several packs of messages and for every lane of the worker.
NUM_NARRATIONS = 500


@pytest.fixture
def farm_environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """`chatterqueue up` in one terminal; the environment that it prints, for another."""
    process = subprocess.Popen(
        [*CHATTERQUEUE, "up", "--data-dir", str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    printed: dict[str, str] = {}
    for line in process.stdout:
        if match := re.fullmatch(r"export (\w+)='?([^']*)'?", line.strip()):
            printed[match[1]] = match[2]
        if "Ctrl-C" in line:
            break
    assert printed, "`chatterqueue up` printed no environment"
    yield {**os.environ, **printed}
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) in (0, 130)


def run(arguments: list[str], environment: dict[str, str], *, timeout_s: float = 240) -> str:
    """Return what a command prints; it must succeed."""
    finished = subprocess.run(
        [*CHATTERQUEUE, *arguments], env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout


def pcm_of(path: Path) -> tuple[np.ndarray, int]:
    """Return a file's samples and rate, whatever its format."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate_hz = container.streams.audio[0].rate
    pcm = np.concatenate(frames, axis=1)[0]
    return (pcm / 32768 if pcm.dtype == np.int16 else pcm).astype(np.float32), rate_hz


def text_of(number: int) -> str:
    """Return a short text that no other narration has; every third has several paragraphs."""
    sentences = [
        f"Narration {number} says for the {part} time that it is whole." for part in ("first", "second", "last")
    ]
    return sentences[0] if number % 3 else "\n\n".join(sentences)


def test_every_text_comes_back_whole_when_500_narrations_are_submitted(
    farm_environment: dict[str, str], tmp_path: Path
) -> None:
    bulk_file = tmp_path / "jobs.jsonl"
    with bulk_file.open("w") as lines:
        for number in range(NUM_NARRATIONS):
            audio_format = ("mp3", "flac", "wav")[number % 3]
            narration = {"text": text_of(number), "engine": "tone", "format": audio_format, "custom_id": f"n{number}"}
            lines.write(json.dumps(narration) + "\n")

    ids = run(["submit", "--manifest", str(bulk_file)], farm_environment).split()
    assert len(ids) == NUM_NARRATIONS
    run(["watch", *ids], farm_environment)

    statuses = json.loads(run(["status", "--json", *ids], farm_environment))
    assert {status["state"] for status in statuses} == {"succeeded"}
    run(["fetch", *ids, "-o", str(tmp_path / "audio")], farm_environment)
    files = {path.stem: path for path in (tmp_path / "audio").iterdir()}
    for number, narration_id in enumerate(ids):
        plan = split(text_of(number), language="en", narration_id=narration_id)
        name = narration_id if narration_id in files else f"n{number}"
        heard = decode_tones(*pcm_of(files[name]))
        assert heard == [tone_hash(segment.text) for segment in plan.segments], f"narration {number}"

    url = run(["url", ids[0]], farm_environment).strip()
    with urllib.request.urlopen(url, timeout=30) as response:
        assert response.read() == files.get(ids[0], files.get("n0")).read_bytes()


def test_every_sentence_is_heard_once_in_order_when_the_example_chapter_is_narrated(tmp_path: Path) -> None:
    audio_path = tmp_path / "chapter.mp3"
    run(
        ["narrate", str(EXAMPLE_TEXT), "-o", str(audio_path), "--local", "--data-dir", str(tmp_path / "data")],
        {**os.environ, "CHATTERQUEUE_ENGINE": "draft"},
        timeout_s=280,
    )
    plan = split(EXAMPLE_TEXT.read_text(), language="en", narration_id="example")
    sentences = [segment.text for segment in plan.segments]

    heard = sentences_heard(transcribe(audio_path), sentences, max_error=0.45)

    assert heard == list(range(len(sentences)))
