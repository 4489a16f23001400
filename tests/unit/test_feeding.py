"""The benchmark of what a segment costs: its engine takes its time, and its figures are of the span they say."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pytest
from madeupvoice import RATE_HZ as VOICE_RATE_HZ
from madeupvoice import speak
from processes import wait_for

from bench.feeding import Look, span, summary
from bench.pacedengine import RATE_HZ, Pace, PacedEngine, speech_seconds
from bench.stopwatch import Stopwatch, read_lines, table
from producer.contract.narration import ModelName, Parameters
from worker.engine.request import SegmentRequest
from worker.quality import Examiner

TEXT = "The quiet lamp watched the old harbour beside the mill."


def request_of(text: str, seed: int = 1) -> SegmentRequest:
    return SegmentRequest(text, "en", ModelName.ENGLISH, None, Parameters(), seed=seed)


@pytest.fixture
def pace(tmp_path: Path) -> Pace:
    sentences = " ".join(f"{TEXT} Number {number} is another one." for number in range(8))
    said = speak(sentences, 1)
    places = np.arange(0, len(said), VOICE_RATE_HZ / RATE_HZ)
    sound = tmp_path / "sound.npy"
    np.save(sound, np.interp(places, np.arange(len(said)), said).astype(np.float32))
    return Pace(num_slots=2, x_real_time=400.0, sound=sound, notes=tmp_path / "notes")


def test_the_paced_engine_says_as_much_as_the_text_and_notes_how_full_it_is(pace):
    engine = PacedEngine(pace)
    engine.load()
    takes = [engine.submit(request_of(TEXT, seed)).result(timeout=30) for seed in range(3)]
    assert all(len(take.pcm) / RATE_HZ == pytest.approx(speech_seconds(TEXT), abs=0.3) for take in takes)
    wait_for(lambda: pace.notes.exists() and '"num_finished": 3' in pace.notes.read_text(), "it notes what it did")
    note = json.loads(pace.notes.read_text().splitlines()[-1])
    assert note["slot_s"] > 0
    assert (note["speaking"], note["waiting"]) == (0, 0)


def test_the_gate_has_its_normal_work_with_its_takes_and_lets_them_pass(pace):
    engine = PacedEngine(pace)
    engine.load()
    take = engine.submit(request_of(TEXT)).result(timeout=30)
    verdict = Examiner().examine(take.pcm, take.sample_rate_hz, text=TEXT, language="en", voice="paced")
    assert verdict.findings == ()


def test_the_first_and_the_last_tenth_are_no_part_of_the_figures():
    looks = [Look(at_s=float(num), num_done=num, cpu_s=num / 50) for num in range(0, 101, 5)]
    first, last = span(looks)
    assert (first.num_done, last.num_done) == (10, 90)
    notes = [
        {"at_s": at_s, "speaking": 64.0, "waiting": 0.0, "slot_s": 64 * at_s, "queue_s": at_s, "own_cpu_s": at_s / 100}
        for at_s in (0.0, 100.0)
    ]
    found = summary(looks, notes, argparse.Namespace(slots=128, x=400.0))
    assert found["segments_per_s"] == 1.0
    assert found["mean_slots_used"] == 64.0
    assert found["worker_cpu_ms_per_segment"] == 10.0  # 20, of which the test engine spent half


def test_the_parts_are_what_each_segment_of_the_span_took(tmp_path: Path):
    lines = [
        {
            "at_s": at_s,
            "parts": {"complete": [at_s / 1000, at_s, at_s / 10], "put": [0.0, 2 * at_s, 3 * at_s]},
            "threads": {"MainThread": [at_s / 500]},
        }
        for at_s in (0.0, 10.0, 90.0, 100.0)
    ]
    (tmp_path / "1.jsonl").write_text(json.dumps({"at_s": 90.0, "parts": {}, "threads": {}}))
    (tmp_path / "2.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    found = table(read_lines(tmp_path), from_s=11.0, to_s=89.0)
    assert found["ms_per_segment"] == {"complete": 1.0, "put": 0.0}
    assert found["calls_per_segment"] == {"complete": 1.0, "put": 2.0}
    assert found["mean_threads_within"] == {"complete": 0.1, "put": 3.0}
    assert found["thread_ms_per_segment"] == {"MainThread": 2.0}


def test_a_stopwatch_counts_who_waits_too():
    class Slow:
        def wait(self) -> str:
            time.sleep(0.05)
            return "done"

    watch = Stopwatch()
    watch.around(Slow, "wait", "a wait")
    assert Slow().wait() == "done"
    spent_s, num_calls, within_s = watch.note()["a wait"]
    assert num_calls == 1
    assert spent_s < within_s
    assert within_s >= 0.05
