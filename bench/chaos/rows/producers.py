"""Producers that are killed, race and change their minds: rows 6, 7, 33."""

from __future__ import annotations

import threading
import time

from bench.chaos import submitter
from bench.chaos.rows import row
from bench.chaos.scene import Scene
from producer import State


@row("6", "a producer is killed in a bulk submit and run again")
def bulk_submit(scene: Scene) -> None:
    """With keys, the same set is handed in again and only what is missing is queued."""
    num_narrations = scene.scale.of(1_000, 40)
    books = [scene.book(1, f"book {number}") for number in range(num_narrations)]
    narrations = [
        {"text": book.text, "engine": "tone", "format": "flac", "idempotency_key": f"{scene.seed} {number}"}
        for number, book in enumerate(books)
    ]
    # At a point of the code, and wherever the signal meets it.
    crashes = scene.scale.of(("put:1", "create:1", "send:1", "", "", ""), ("create:1", ""))
    for crash in crashes:
        process = submitter.start(scene.environment(), narrations, crash=crash)
        if not crash:
            time.sleep(scene.random.uniform(0.3, 3.0))
            process.kill()
        submitter.ids_from(process)
        scene.outcome.num_faults += 1
    begun_s = time.monotonic()
    ids = submitter.ids_from(submitter.start(scene.environment(), narrations))
    scene.outcome.figures["resume_s"] = round(time.monotonic() - begun_s, 2)
    scene.expect(len(set(ids)) == num_narrations, f"{len(set(ids))} ids for {num_narrations} narrations")
    for narration_id, book in zip(ids, books, strict=True):
        scene.acknowledge(narration_id, book)
    num_known = len(scene.client.list(limit=10_000))
    scene.expect(num_known == num_narrations, f"{num_known} records for {num_narrations} narrations")
    scene.start_worker(0.0)
    scene.wait_for_all(240)


@row("7", "50 threads hand in the same text with one key at the same moment")
def one_key(scene: Scene) -> None:
    """One narration, whoever was first; other content under the key is a conflict."""
    num_races = scene.scale.of(20, 3)
    for number in range(num_races):
        book = scene.book(1, f"race {number}")
        barrier = threading.Barrier(50)
        ids: list[str] = []
        news: list[bool] = []

        def hand_in(book=book, number=number, barrier=barrier, ids=ids, news=news) -> None:
            barrier.wait()
            job = scene.client.submit(book.narration(idempotency_key=f"{scene.seed} {number}"))
            ids.append(job.id)
            news.append(job.is_new)

        threads = [threading.Thread(target=hand_in) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        scene.outcome.num_faults += 50
        scene.expect(len(ids) == 50, f"{50 - len(ids)} of 50 submits failed")
        scene.expect(len(set(ids)) == 1, f"one key made {len(set(ids))} narrations")
        scene.expect(sum(news) == 1, f"{sum(news)} of 50 were told that theirs was new")
        scene.acknowledge(ids[0], book)
    scene.start_worker(0.0)
    scene.wait_for_all(60)


@row("33", "cancel at a random moment")
def cancel_races(scene: Scene) -> None:
    """Cancelled stays cancelled, nothing is accepted afterwards, and what had ended before stays as it was."""
    scene.start_workers(scene.scale.of(2, 1), 0.1)
    stops_s = []
    for number in range(scene.scale.of(40, 4)):
        book = scene.submit(scene.book(scene.random.randrange(1, 12), f"book {number}"))
        time.sleep(scene.random.uniform(0.0, 1.5))
        state = scene.client.cancel(book)
        scene.outcome.num_faults += 1
        scene.seen_ends[book] = state
        scene.expect(state.is_terminal, f"cancel left it {state}")
        begun_s = time.monotonic()
        num_done = scene.status(book).num_done
        scene.wait_for(lambda book=book: not _is_held(scene, book), "its leases are gone", 5)
        stops_s.append(time.monotonic() - begun_s)
        if state is State.CANCELLED:
            time.sleep(0.1)
            scene.expect(scene.status(book).num_done == num_done, f"{book} went on after it was cancelled")
    scene.outcome.figures["cancel_to_stop_p99_s"] = round(max(stops_s), 2)
    after = scene.submit(scene.book(3, "after all"))
    scene.wait_for_all(60)
    scene.expect_state(after, State.SUCCEEDED)


def _is_held(scene: Scene, narration_id: str) -> bool:
    return bool(scene.redis.exists(f"{scene.settings.redis_prefix}narration:{narration_id}:leases"))
