"""Disks that are full: row 30."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.chaos.rows import row
from bench.chaos.scene import Scene
from producer import QueueUnavailableError, State


@contextmanager
def _small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a file system of that size; needs root, and says so loudly where that is not had."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(folder: Path) -> Path:
    """Write until nothing fits any more."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                if file.write(bytes(65_536)) < 65_536:
                    break
            except OSError:
                break
    return path


@row("30w", "the disk of a worker is full")
def worker_disk(scene: Scene) -> None:
    """It has nothing to write but its pulse: it goes on, and its supervisor does not take it for dead."""
    with _small_disk(scene.folder / "disk", 2) as disk:
        environment = {"TMPDIR": str(disk)}
        worker = scene.start_worker(0.1, environment=environment)
        for name in ("heartbeat", "cache"):
            (worker.log_path.parent / name).mkdir(exist_ok=True)
        subprocess.run(["mount", "--bind", str(disk), str(worker.log_path.parent / "heartbeat")], check=True)
        try:
            _fill(disk)
            scene.outcome.num_faults = 1
            book = scene.submit(scene.book(scene.scale.of(100, 20)))
            scene.wait_for_all(120)
            scene.expect_state(book, State.SUCCEEDED)
            scene.expect("process_ended" not in worker.log(), "a full disk ended the process")
        finally:
            subprocess.run(["umount", "--lazy", str(worker.log_path.parent / "heartbeat")], check=True)


@row("30r", "the disk of Redis is full", needs_own_servers=True)
def redis_disk(scene: Scene) -> None:
    """It takes no more writes: a submit is refused by name, and work goes on when there is room."""
    scene.start_worker(0.1)
    book = scene.submit(scene.book(scene.scale.of(80, 20)))
    scene.wait_for_done(book, 3)
    folder = scene.servers.folder.valkey_dir
    scene.servers.kill_redis()
    moved = folder.with_name("valkey-before")
    folder.rename(moved)
    with _small_disk(folder, 16):
        subprocess.run(["cp", "-a", f"{moved}/.", str(folder)], check=True)
        scene.servers.start_redis()
        ballast = _fill(folder)
        scene.outcome.num_faults = 1
        try:
            for number in range(200):
                scene.submit(scene.book(1, f"on a full disk {number}"))
                time.sleep(0.02)
            scene.expect(is_so=False, what="Redis never refused, so its disk was not full")
        except QueueUnavailableError as error:
            scene.expect("disk" in str(error), f"the refusal does not say why: {error}")
        time.sleep(2.0)
        ballast.unlink()
        begun_s = time.monotonic()
        scene.wait_for_all(150)
        scene.recoveries.append(time.monotonic() - begun_s)
        scene.expect_state(book, State.SUCCEEDED)
        scene.servers.kill_redis()
        subprocess.run(["cp", "-a", f"{folder}/.", str(moved)], check=True)
    folder.rmdir()
    moved.rename(folder)
    scene.servers.start_redis()
