"""What four workers make of the work of one: `python -m bench.workers`.

The test engine takes 50 ms for each segment, one at a time, as a GPU would; everything else is real. All processes,
both servers included, share this machine's cores.
"""

from __future__ import annotations

import sys
import time

from bench.farm import farm, wait_for_all
from bench.record import write_result
from producer import Narration

SEGMENT_S = 0.05
NARRATIONS = 8
SEGMENTS_EACH = 100


def main() -> None:
    """Measure one worker, then four, on the same amount of work; print and record."""
    rates = {num_workers: _segments_per_s(num_workers) for num_workers in (1, 4)}
    speedup = rates[4] / rates[1]
    result = {
        "command": "python -m bench.workers",
        "segment_s": SEGMENT_S,
        "num_segments": NARRATIONS * SEGMENTS_EACH,
        "segments_per_s": rates,
        "ideal_segments_per_s": {num_workers: num_workers / SEGMENT_S for num_workers in rates},
        "speedup_of_4": speedup,
    }
    path = write_result("workers", result)
    sys.stdout.write(
        f"1 worker {rates[1]:.1f} segments/s, 4 workers {rates[4]:.1f} segments/s: {speedup:.2f}x. {path}\n"
    )


def _segments_per_s(num_workers: int) -> float:
    narrations = [
        Narration(
            text="\n\n".join(
                f"Narration {number} of {num_workers} says that sentence {index} stands here."
                for index in range(SEGMENTS_EACH)
            ),
            engine="tone",
            format="flac",
        )
        for number in range(NARRATIONS)
    ]
    environment = {"CHATTERQUEUE_ENGINE": "tone", "CHATTERQUEUE_TONE_SEGMENT_S": str(SEGMENT_S)}
    with farm(num_workers, environment) as client:
        begun_s = time.perf_counter()
        ids = client.submit_many(narrations).ids
        statuses = wait_for_all(client, ids, timeout_s=600)
        wall_s = time.perf_counter() - begun_s
    return sum(status.num_segments or 0 for status in statuses) / wall_s


if __name__ == "__main__":
    main()
