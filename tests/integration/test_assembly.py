"""Assembly from and into a real S3 server: exact, whole, and as small in memory for hours as for minutes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any

import av
import numpy as np
import pytest

from producer.contract.keys import audio_key
from producer.contract.manifest import TakeFacts
from producer.contract.narration import AudioFormat
from producer.contract.plan import Plan
from producer.storage import ObjectStore
from worker.audio import Tags, assemble, encode_segment
from worker.engine.fingerprint import decode_tones, encode_tones, tone_hash
from worker.errors import SegmentsUnusableError
from worker.text import split

pytestmark = pytest.mark.integration

RATE_HZ = 24_000
NARRATION_ID = "b" * 26
TEXT = "The first part\n\n" + "\n\n".join(f"Sentence number {n} says what it has to say." for n in range(40))


def stored_takes(plan: Plan, store: ObjectStore) -> dict[int, TakeFacts]:
    takes = {}
    for segment in plan.segments:
        pcm = encode_tones(tone_hash(segment.text), RATE_HZ)
        key = f"segments/{segment.index}.flac"
        store.put(key, encode_segment(pcm, RATE_HZ), "audio/flac")
        takes[segment.index] = take(key, len(pcm))
    return takes


def take(key: str, num_samples: int) -> TakeFacts:
    return TakeFacts(
        key=key,
        num_samples=num_samples,
        sample_rate_hz=RATE_HZ,
        seed=0,
        is_reused=False,
        synthesis_s=0,
        worker="w",
    )


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_the_stored_file_holds_every_segment_once_in_order(audio_format: AudioFormat, store: ObjectStore) -> None:
    plan = split(TEXT, language="en", narration_id=NARRATION_ID)
    takes, tags = stored_takes(plan, store), Tags(title="Part one")
    assembly = assemble(plan, takes, {}, {}, store, audio_format=audio_format, tags=tags)
    assert assembly.audio is not None
    data = store.get(audio_key(NARRATION_ID, audio_format))
    assert len(data) == assembly.audio.size_bytes
    with av.open(io.BytesIO(data)) as container:
        played_hz = container.streams.audio[0].rate  # 48 kHz if it is opus
        samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])
    excess = len(samples) * RATE_HZ / played_hz - assembly.audio.num_samples
    assert 0 <= excess < 1_024 if audio_format is AudioFormat.M4B else excess == 0
    assert decode_tones(samples, played_hz) == [tone_hash(segment.text) for segment in plan.segments]


def test_a_deleted_segment_is_named_and_the_audio_of_before_stays(store: ObjectStore) -> None:
    plan = split(TEXT, language="en", narration_id=NARRATION_ID)
    takes = stored_takes(plan, store)
    key = audio_key(NARRATION_ID, AudioFormat.FLAC)
    store.put(key, b"the one before", "audio/flac")
    store.delete(takes[3].key)
    store.delete(takes[30].key)
    with pytest.raises(SegmentsUnusableError) as caught:
        assemble(plan, takes, {}, {}, store, audio_format=AudioFormat.FLAC)
    assert caught.value.indexes == [3, 30]
    assert store.get(key) == b"the one before"


#: Assembles so many segments of a minute each, all the same object, and prints how much memory that took.
LONG_ASSEMBLY = """
import json, sys
from pathlib import Path
from producer.contract.manifest import TakeFacts
from producer.contract.narration import AudioFormat
from producer.contract.plan import Boundary, Plan, Segment
from producer.contract.settings import Settings
from producer.storage import ObjectStore
from worker.audio import assemble

num_segments, take = int(sys.argv[1]), TakeFacts(**json.loads(sys.argv[2]))
segments = tuple(
    Segment(index=index, text="x", start=index, end=index + 1, boundary=Boundary.PARAGRAPH)
    for index in range(num_segments)
)
plan = Plan(narration_id="c" * 26, text_sha256="", num_chars=num_segments, segments=segments)
takes = {index: take for index in range(num_segments)}
store = ObjectStore.connect(Settings.load(), read_timeout_s=60, max_attempts=4)
assembly = assemble(plan, takes, {}, {}, store, audio_format=AudioFormat.WAV)
# Not getrusage: its peak is handed down by the process that started this one.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak_mib = int(status["VmHWM"].split()[0]) / 1024
print(json.dumps({"peak_mib": peak_mib, "size_bytes": assembly.audio.size_bytes}))
"""


def test_memory_does_not_grow_with_the_length_of_the_narration(store: ObjectStore) -> None:
    """Wav, because it is the most bytes: 40 minutes more are 115 MB more, which would show if anything kept them.

    Both are long enough to fill every buffer, also with a storage that is slow to take the parts.
    """
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 60 * RATE_HZ).astype(np.float32)
    store.put("segments/minute.flac", encode_segment(noise, RATE_HZ), "audio/flac")
    facts = take("segments/minute.flac", len(noise)).model_dump_json()

    def figures(num_segments: int) -> dict[str, Any]:
        command = [sys.executable, "-c", LONG_ASSEMBLY, str(num_segments), facts]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=250)
        return json.loads(done.stdout)

    short, long = figures(20), figures(60)
    assert short["size_bytes"] > 20 * 60 * RATE_HZ * 2
    assert long["size_bytes"] > 60 * 60 * RATE_HZ * 2
    assert long["peak_mib"] - short["peak_mib"] < 40
    assert long["peak_mib"] < 300
