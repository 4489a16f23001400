"""The whole path with the draft engine, against the bare voice: `python -m bench.pipeline`.

Text in, mp3 in S3 out, one worker with as many threads as cores. The peer is the same voice called in a loop by one
thread, with no queue, no storage and no encoding.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from bench.farm import farm, wait_for_all
from bench.record import write_result
from producer import Narration
from worker.engine.request import segment_seed
from worker.text import split

COPIES = 6
TEXTS = Path(__file__).parent.parent / "examples" / "texts"


def main() -> None:
    """Measure, print and record."""
    chapter = next(TEXTS.glob("*.txt")).read_text()
    # Each copy differs in every sentence's seed, so that nothing is found in the segment cache.
    narrations = [Narration(text=chapter, engine="draft", seed=index) for index in range(COPIES)]
    with farm(1, {"CHATTERQUEUE_ENGINE": "draft"}) as client:
        begun_s = time.perf_counter()
        ids = client.submit_many(narrations).ids
        statuses = wait_for_all(client, ids, timeout_s=900)
        wall_s = time.perf_counter() - begun_s
    audio_s = sum(status.duration_s or 0.0 for status in statuses)
    voice_real_time = _bare_voice(chapter)
    cores = os.cpu_count() or 1
    result = {
        "command": "python -m bench.pipeline",
        "num_narrations": COPIES,
        "num_segments": sum(status.num_segments or 0 for status in statuses),
        "num_chars": len(chapter) * COPIES,
        "audio_s": audio_s,
        "wall_s": wall_s,
        "pipeline_real_time": audio_s / wall_s,
        "bare_voice_one_thread_real_time": voice_real_time,
        "efficiency": audio_s / wall_s / (voice_real_time * cores),
    }
    path = write_result("pipeline", result)
    sys.stdout.write(
        f"{audio_s:.0f} s of audio in {wall_s:.1f} s: {audio_s / wall_s:.0f}x real time on {cores} cores; "
        f"the bare voice makes {voice_real_time:.0f}x on one. {path}\n"
    )


def _bare_voice(chapter: str) -> float:
    """Return the seconds of audio that the voice makes per second, one thread, pauses not counted."""
    from hibari import SAMPLE_RATE, Hibari

    voice = Hibari(threads=1)
    plan = split(chapter, language="en", narration_id="bench")
    voice(plan.segments[0].text, seed=0)
    begun_s = time.perf_counter()
    num_samples = sum(len(voice(segment.text, seed=segment_seed(0, segment.text))) for segment in plan.segments)
    return num_samples / SAMPLE_RATE / (time.perf_counter() - begun_s)


if __name__ == "__main__":
    main()
