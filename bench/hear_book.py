"""A whole book by the draft engine, narrated and heard through: `python -m bench.hear_book [FOLDER]`.

Three looks at the finished mp3: it is decoded to its end and compared with the manifest's length; every segment's place
must be speech and the pause after it silent; a seeded sample of segments is played to a recognizer. The folder
(default `out/book`) keeps the book, so that a second run hears it without narrating it again. The text comes by pip.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from bench.record import ROOT, commit, machine, write_result
from examples.fetch_book import fetch_book
from producer import Client
from producer.contract.manifest import Manifest, ManifestSegment
from producer.stack import EmbeddedStack
from worker.text import split

sys.path.insert(0, str(ROOT / "tests"))  # its ears; they are no package
from listening import sentences_heard, transcribe

SAMPLE_SIZE = 60
SEED = 20_261_122

#: What Whisper tiny may get wrong of a sentence's characters and still be said to have heard it, as in the tests.
MAX_ERROR = 0.45

#: Peak above which there is sound, of 32,767: -46 dB, far above what mp3 leaves in a pause, far below speech.
SOUND_PEAK = 164

#: What mp3 smears over the edges of a sound: one granule.
SMEAR_MS = 25

#: Moves every place in the control, by about a short word and more than a pause between sentences.
CONTROL_SHIFT_MS = 400

Pcm = NDArray[np.int16]


def main() -> None:
    """Narrate the book unless the folder has it, hear it, print and record."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out/book").resolve()
    if not (folder / "narrated.json").exists():
        narrate(folder)
    narrated = json.loads((folder / "narrated.json").read_text())
    manifest = manifest_of(folder, narrated["id"])
    assert manifest.audio is not None
    pcm, rate_hz = decoded(folder / "book.mp3")
    expected = sum(segment.num_samples + segment.pause_after_samples for segment in manifest.segments)
    text = (folder / "book.txt").read_text()
    texts = [segment.text for segment in split(text, language="en", narration_id="book").segments]
    assert len(texts) == len(manifest.segments)
    result = {
        "command": "python -m bench.hear_book",
        "narrated": {
            "num_segments": len(manifest.segments),
            "num_present": sum(segment.is_present for segment in manifest.segments),
            "audio_s": manifest.audio.duration_s,
            "wall_s": narrated["wall_s"],
            "real_time": round(manifest.audio.duration_s / narrated["wall_s"], 1),
            "commit": narrated["commit"],
            "load_average": narrated["load_average"],
        },
        "decoded": {
            "audio_s": len(pcm) / rate_hz,
            "away_from_manifest_s": abs(len(pcm) - expected) / rate_hz,
            "is_the_object_of_the_manifest": sha256_of(folder / "book.mp3") == manifest.audio.sha256,
        },
        "places": places(pcm, manifest.segments, rate_hz),
        "heard": heard(pcm, [(each.offset_samples, each.num_samples) for each in manifest.segments], texts, rate_hz),
    }
    path = write_result("book", result)
    sys.stdout.write(f"{json.dumps(result, indent=2)}\n{path}\n")


def narrate(folder: Path) -> None:
    """Fetch the book and narrate it as `make narrate` does."""
    fetch_book(folder / "book.txt")
    text, audio = str(folder / "book.txt"), str(folder / "book.mp3")
    command = [sys.executable, "-m", "producer.cli", "narrate", text, "-o", audio, "--engine", "draft"]
    command += ["--local", "--data-dir", str(folder / "stack"), "--json"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    document = {**json.loads(done.stdout), "commit": commit(), "load_average": machine()["load_average"]}
    (folder / "narrated.json").write_text(json.dumps(document))


def manifest_of(folder: Path, narration_id: str) -> Manifest:
    """Return the book's manifest, from the embedded stack that it was narrated with."""
    with EmbeddedStack(folder / "stack") as stack:
        os.environ.update(stack.environment())
        with Client() as client:
            return client.manifest(narration_id)


def sha256_of(path: Path) -> str:
    """Return a file's hash."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def decoded(path: Path) -> tuple[Pcm, int]:
    """Return all samples of a mono file; a packet that cannot be decoded is an error of PyAV."""
    pieces = []
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        for frame in container.decode(stream):
            samples = frame.to_ndarray()[0]
            pieces.append(np.rint(np.clip(samples, -1, 1) * 32_767).astype(np.int16))
        return np.concatenate(pieces), stream.rate


def places(pcm: Pcm, segments: tuple[ManifestSegment, ...], rate_hz: int) -> dict[str, Any]:
    """Count the segments that are where the manifest says, and, as a control, where it does not say."""
    shift = CONTROL_SHIFT_MS * rate_hz // 1_000
    wrong = [segment.index for segment in segments if not is_in_place(pcm, segment, rate_hz, shift=0)]
    control = sum(is_in_place(pcm, segment, rate_hz, shift=shift) for segment in segments)
    return {
        "num_checked": len(segments),
        "num_in_place": len(segments) - len(wrong),
        "not_in_place": wrong,
        "num_in_place_when_shifted_by_400_ms": control,
    }


def is_in_place(pcm: Pcm, segment: ManifestSegment, rate_hz: int, *, shift: int) -> bool:
    """Say whether there is sound in a segment's place, and none in the pause after it but for the codec's smear."""
    smear = SMEAR_MS * rate_hz // 1_000
    begin = segment.offset_samples + shift
    end = begin + segment.num_samples
    pause = pcm[end + smear : end + segment.pause_after_samples - smear]
    return peak(pcm[begin:end]) > SOUND_PEAK >= peak(pause)


def peak(samples: Pcm) -> int:
    """Return the largest sample without its sign; 0 of none."""
    return int(np.abs(samples.astype(np.int32)).max(initial=0))


def heard(pcm: Pcm, places: list[tuple[int, int]], texts: list[str], rate_hz: int) -> dict[str, Any]:
    """Play a sample of segments to the recognizer; as a control, look for the next segment's text in each.

    Args:
        pcm: the whole audio.
        places: where each segment begins, and how long it is, in samples.
        texts: what is said there.
        rate_hz: samples per second.
    """
    chosen = sorted(random.Random(SEED).sample(range(len(places) - 1), min(SAMPLE_SIZE, len(places) - 1)))
    missed, num_mistaken = [], 0
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.wav"
        for index in chosen:
            offset, num_samples = places[index]
            soundfile.write(clip, pcm[offset:][:num_samples], rate_hz)
            words = transcribe(clip)
            if sentences_heard(words, [texts[index]], max_error=MAX_ERROR) != [0]:
                missed.append({"index": index, "text": texts[index], "heard": " ".join(words)})
            num_mistaken += bool(sentences_heard(words, [texts[index + 1]], max_error=MAX_ERROR))
    return {
        "seed": SEED,
        "num_played": len(chosen),
        "num_found": len(chosen) - len(missed),
        "missed": missed,
        "num_taken_for_the_next_segment": num_mistaken,
    }


if __name__ == "__main__":
    main()
