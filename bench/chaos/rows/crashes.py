"""Processes that die at chosen points of the code: row 3. The points are listed in `bench.chaos.inside`."""

from __future__ import annotations

from collections.abc import Sequence

from bench.chaos import submitter
from bench.chaos.audit import unfinished_uploads
from bench.chaos.rows import row
from bench.chaos.scene import Scene
from producer import State

#: Points that every segment passes, three of them at a time; those that a narration passes once; those of a producer.
SEGMENT_POINTS = (
    ("claim.before", "encode.after", "complete.after"),
    ("claim.after", "put.before", "ack.before"),
    ("synthesis.middle", "put.after", "complete.before"),
)
ENDING_POINTS = ("planned.after", "audio.after", "commit.before", "commit.after")
SUBMIT_POINTS = ("put", "create", "send")

#: Segments of a WAV file that is larger than one part of an upload.
NUM_SEGMENTS_OF_TWO_PARTS = 400


@row("3", "death at 17 points of the code, those of a segment the first, second and third time")
def crash_points(scene: Scene) -> None:
    """Workers that die at every point once, twice or thrice, and whose supervisors start others."""
    for points in scene.scale.of(SEGMENT_POINTS, SEGMENT_POINTS[:1]):
        _play(scene, points, scene.scale.of([1, 2, 3], [1]), num_workers=3, num_segments=60)
    _play(scene, scene.scale.of(ENDING_POINTS, ENDING_POINTS[-1:]), [1], num_workers=2, num_segments=6)
    if scene.scale.is_full:
        _die_between_parts(scene)
    for point in SUBMIT_POINTS:
        _die_in_submit(scene, point)


def _play(
    scene: Scene, points: Sequence[str], passes: list[int], *, num_workers: int, num_segments: int, **fields: str
) -> None:
    crash_at = dict.fromkeys(points, passes)
    environment = {"CHATTERQUEUE_LEASE_S": "3", "CHATTERQUEUE_LOST_AFTER_S": "3", **scene.expect_kills()}
    scene.start_workers(num_workers, 0.05, crash_at=crash_at, environment=environment)
    narration_id = scene.submit(scene.book(num_segments, " ".join(points)), **fields)
    scene.wait_for_all(240)
    wanted = {f"crashed-{point}-{number}" for point in points for number in passes}
    missing = wanted - {path.name for path in scene.folder.glob("crashed-*")}
    scene.outcome.num_faults += len(wanted - missing)
    scene.expect(not missing, f"no process died at {', '.join(sorted(missing))}")
    scene.expect_state(narration_id, State.SUCCEEDED)
    for worker in list(scene.fleet.workers):
        scene.fleet.kill(worker)


def _die_between_parts(scene: Scene) -> None:
    """The parts that the dead process had sent are cleared away by the janitor of a worker."""
    _play(scene, ["part.after"], [1], num_workers=1, num_segments=NUM_SEGMENTS_OF_TWO_PARTS, format="wav")
    left = unfinished_uploads(scene.settings)
    scene.outcome.figures["uploads_before_janitor"] = len(left)
    scene.expect(bool(left), "a death between two parts left no upload behind: nothing is shown")
    impatient = {"CHATTERQUEUE_JANITOR_EVERY_S": "2", "CHATTERQUEUE_UPLOAD_GRACE_S": "60"}
    worker = scene.start_worker(0.01, environment=impatient)
    scene.wait_for(lambda: not unfinished_uploads(scene.settings), "the janitor has cleared the upload", 90)
    scene.fleet.kill(worker)


def _die_in_submit(scene: Scene, point: str) -> None:
    book = scene.book(3, f"submit {point}")
    narration = {"text": book.text, "engine": "tone", "format": "flac", "idempotency_key": f"{scene.seed} {point}"}
    died = submitter.start(scene.environment(), [narration], crash=f"{point}:1")
    scene.expect(submitter.ids_from(died) == [], f"a producer outlived the point {point}")
    scene.outcome.num_faults += 1
    (narration_id,) = submitter.ids_from(submitter.start(scene.environment(), [narration]))
    scene.acknowledge(narration_id, book)
    worker = scene.start_worker(0.01)
    scene.wait_for_all(60)
    scene.expect_state(narration_id, State.SUCCEEDED)
    scene.fleet.kill(worker)
