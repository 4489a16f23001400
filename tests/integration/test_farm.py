"""The farm as its users meet it: the command line, the embedded stack, a worker, and the finished files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from listening import missing_from, sentences_heard, transcribe

from producer import Client
from producer.contract.settings import Settings
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
    try:
        yield {**os.environ, **environment_printed_by(process)}
    finally:
        exit_code = interrupt(process)
    assert exit_code == 0


def environment_printed_by(process: subprocess.Popen[str]) -> dict[str, str]:
    """Return the variables that `chatterqueue up` prints when everything runs."""
    assert process.stdout is not None
    printed: dict[str, str] = {}
    for line in process.stdout:
        if match := re.fullmatch(r"export (\w+)='?([^']*)'?", line.strip()):
            printed[match[1]] = match[2]
        if "AWS_SECRET_ACCESS_KEY" in printed:
            break
    assert "AWS_SECRET_ACCESS_KEY" in printed, "`chatterqueue up` printed no environment"
    return printed


def interrupt(process: subprocess.Popen[str]) -> int:
    """Press Ctrl-C in a process's terminal and return its exit code; one that does not end is killed."""
    with process:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        try:
            return process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


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


def test_every_sentence_is_heard_once_in_order_when_the_example_chapter_is_narrated(
    settings: Settings, start_worker: Callable[..., object], tmp_path: Path
) -> None:
    start_worker(engine="draft")
    audio_path = tmp_path / "chapter.mp3"
    printed = run(["narrate", str(EXAMPLE_TEXT), "-o", str(audio_path), "--json"], dict(os.environ))
    with Client(settings) as client:
        manifest = client.manifest(json.loads(printed)["id"])
    text = EXAMPLE_TEXT.read_text()
    sentences = [segment.text for segment in split(text, language="en", narration_id="example").segments]

    heard = sentences_heard(transcribe(audio_path), sentences, max_error=0.45)

    assert heard == sorted(set(heard))
    # What the recognizer swallowed is played to it again, alone, from where the manifest says that it is.
    missing = missing_from(heard, len(sentences))
    assert len(missing) <= len(sentences) // 50
    pcm, rate_hz = pcm_of(audio_path)
    for index in missing:
        segment = manifest.segments[index]
        clip_path = tmp_path / f"{index}.wav"
        samples = pcm[segment.offset_samples :][: segment.num_samples]
        soundfile.write(clip_path, samples, rate_hz)
        assert sentences_heard(transcribe(clip_path), [sentences[index]], max_error=0.45) == [0], sentences[index]
