"""What the ledger costs Redis, with a thousand narrations at work at once: `python -m bench.ledger`.

A worker that holds 64 segments is played by one client on a real Valkey with AOF, without Celery, S3 and speech: what
is left is the ledger's scripts. Times inside the server are its own (`INFO commandstats`).
"""

from __future__ import annotations

import sys
import time
from collections import deque

from redis import Redis

from bench.farm import farm
from bench.record import write_result
from producer.connection import connect_redis
from producer.contract import keys
from producer.contract.manifest import AudioObject, TakeFacts
from producer.contract.narration import Narration, NarrationRequest
from producer.contract.settings import Settings
from producer.contract.status import State
from producer.ledger import Dispatch, Ledger, NewNarration

NARRATIONS = 1_000
SEGMENTS_EACH = 20
CAPACITY = 64
WORKER = "bench:1"

TAKE = TakeFacts(
    key="segments/ab/" + "ab" * 32 + ".flac",
    num_samples=480_000,
    sample_rate_hz=24_000,
    seed=1,
    is_reused=False,
    synthesis_s=0.2,
    worker=WORKER,
)
AUDIO = AudioObject(
    key="narrations/x/audio.mp3",
    format="mp3",
    content_type="audio/mpeg",
    size_bytes=1,
    sha256="0" * 64,
    sample_rate_hz=24_000,
    num_samples=1,
    duration_s=1.0,
)


class PlayedFarm:
    """First in, first out, as a Redis list is; holds so many segments at once and ends the oldest first."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._queue: deque[tuple[str, str]] = deque()
        self._held: deque[tuple[str, str, str]] = deque()
        self.assembled = 0

    def begin(self, narration_id: str) -> None:
        """Split a narration."""
        claim = self._ledger.claim(narration_id, "plan", WORKER)
        self._send(narration_id, self._ledger.planned(narration_id, claim.token or "", SEGMENTS_EACH))

    def work(self) -> None:
        """Speak everything."""
        while self._queue or self._held:
            if self._queue and len(self._held) < CAPACITY:
                narration_id, item = self._queue.popleft()
                claim = self._ledger.claim(narration_id, item, WORKER, engine_identity="tone/1")
                self._send(narration_id, claim.dispatch)
                if claim.token is not None:
                    self._held.append((narration_id, item, claim.token))
            else:
                narration_id, item, token = self._held.popleft()
                self._send(narration_id, self._ledger.complete(narration_id, int(item), token, TAKE))

    def _send(self, narration_id: str, dispatch: Dispatch) -> None:
        self._queue += [(narration_id, item) for item in dispatch.items]
        self._queue += dispatch.others
        if dispatch.needs_assembly:
            token = self._ledger.claim(narration_id, "assemble", WORKER).token or ""
            self.assembled += self._ledger.commit(narration_id, token, state=State.SUCCEEDED, audio=AUDIO)


def main() -> None:
    """Measure, print and record."""
    with farm(0, {}):
        settings = Settings.load()
        with connect_redis(settings) as redis:
            result = {"command": "python -m bench.ledger", **_measure(redis, settings)}
    path = write_result("ledger", result)
    sys.stdout.write(
        f"{result['server_us_per_segment']:.0f} us of Redis per segment, {NARRATIONS} narrations at once, "
        f"{result['segments_per_s']:.0f} segments/s with one client, {result['bytes_per_narration']:.0f} bytes of "
        f"Redis per narration at work, a pass of the reconciler {result['reconcile_s']:.2f} s. {path}\n"
    )


def _measure(redis: Redis, settings: Settings) -> dict[str, float | int]:
    ledger = Ledger(redis, settings)
    before_bytes = redis.info("memory")["used_memory"]
    ids = [creation.narration_id for creation in ledger.create([_narration(number) for number in range(NARRATIONS)])]
    played = PlayedFarm(ledger)
    for narration_id in ids:
        played.begin(narration_id)
    used_bytes = redis.info("memory")["used_memory"] - before_bytes
    begun_s = time.perf_counter()
    ledger.reconcile_many(ids, grace_s=60, heads={})
    reconcile_s = time.perf_counter() - begun_s
    redis.config_resetstat()
    begun_s = time.perf_counter()
    played.work()
    wall_s = time.perf_counter() - begun_s
    if played.assembled != NARRATIONS:
        raise RuntimeError(f"only {played.assembled} of {NARRATIONS} narrations were done")
    # Commands inside a script are counted on their own too; the script's time holds theirs.
    scripts = redis.info("commandstats")["cmdstat_evalsha"]
    num_segments = NARRATIONS * SEGMENTS_EACH
    return {
        "num_narrations": NARRATIONS,
        "num_segments": num_segments,
        "capacity": CAPACITY,
        "server_us_per_segment": scripts["usec"] / num_segments,
        "server_us_per_script": scripts["usec_per_call"],
        "segments_per_s": num_segments / wall_s,
        "bytes_per_narration": used_bytes / NARRATIONS,
        "reconcile_s": reconcile_s,
    }


def _narration(number: int) -> NewNarration:
    request = NarrationRequest.new(Narration(text=f"Number {number}."), narration_id=keys.new_id())
    return NewNarration(request, keys.request_key(request.id))


if __name__ == "__main__":
    main()
