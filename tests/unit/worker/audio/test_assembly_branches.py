"""An assembly on several threads: the same bytes as on one, and every error ends all of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np
import pytest
from assemblystore import MemoryStore, MemoryUpload, chaptered_plan, stored_take
from numpy.typing import NDArray

from producer.contract.errors import StorageUnavailableError
from producer.contract.manifest import TakeFacts
from producer.contract.narration import AudioFormat
from producer.contract.plan import Plan
from worker.audio import Tags, assemble, output, survey
from worker.audio.truepeak import TruePeakMeter

RATE_HZ = 24_000


class Straight:
    """What a branch does, on the thread of whoever feeds it."""

    def __init__(self, consume: Callable[[NDArray[np.int16]], None], *, name: str) -> None:
        self.feed = consume

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


def loud_takes(plan: Plan, store: MemoryStore) -> dict[int, TakeFacts]:
    """Return takes of several lengths, uneven enough for the limiter to have work."""
    rng = np.random.default_rng(0)
    takes = {}
    for segment in plan.segments:
        num_samples = 20_000 + 7_001 * segment.index
        envelope = np.repeat(rng.uniform(0.05, 1.0, num_samples // 1_000 + 1), 1_000)[:num_samples]
        pcm = np.clip(rng.normal(0.0, 0.2, num_samples) * envelope, -1.0, 1.0).astype(np.float32)
        takes[segment.index] = stored_take(segment.index, pcm, store)
    return takes


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_the_bytes_are_those_of_one_thread(audio_format: AudioFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = chaptered_plan(3, 5, 4)
    stores = [MemoryStore(), MemoryStore()]
    assemblies = []
    for store in stores:
        takes = loud_takes(plan, store)
        assemblies.append(
            assemble(
                plan,
                takes,
                {},
                {},
                store,
                audio_format=audio_format,
                tags=Tags(title="Book"),
                has_chapter_files=True,
            )
        )
        monkeypatch.setattr(output, "Branch", Straight)
        monkeypatch.setattr(survey, "Branch", Straight)
    assert len([key for key in stores[0].objects if key.startswith("narrations/")]) == 4
    assert stores[0].objects == stores[1].objects
    assert assemblies[0] == assemblies[1]


class FailingStore(MemoryStore):
    """Takes a few bytes of an object and then no more, as S3 does when it goes away; keeps account of its uploads."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.aborted: list[str] = []
        outer = self

        class Upload(MemoryUpload):
            def write(self, data: bytes) -> int:
                if self.tell() > 1_000:
                    raise error
                return super().write(data)

            def __exit__(
                self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
            ) -> None:
                super().__exit__(kind, error, trace)
                if error is not None:
                    outer.aborted.append(self._key)

        self._upload = Upload

    def upload(self, key: str, content_type: str) -> MemoryUpload:
        return self._upload(self.objects, key)


def assert_nothing_is_left(store: MemoryStore) -> None:
    assert not [key for key in store.objects if key.startswith("narrations/")]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("assembly-")]


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_an_upload_that_fails_ends_the_assembly_with_its_error(audio_format: AudioFormat) -> None:
    error = StorageUnavailableError("http://s3", "nothing answers there")
    store = FailingStore(error)
    plan = chaptered_plan(30)
    with pytest.raises(StorageUnavailableError) as caught:
        assemble(plan, loud_takes(plan, store), {}, {}, store, audio_format=audio_format)
    assert caught.value is error
    assert store.aborted == [f"narrations/{plan.narration_id}/audio.{audio_format.value}"]
    assert_nothing_is_left(store)


def test_a_meter_that_fails_ends_the_assembly_and_nothing_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    error = MemoryError()

    def fail(_meter: TruePeakMeter, _pcm: NDArray[np.int16]) -> None:
        raise error

    monkeypatch.setattr(TruePeakMeter, "feed", fail)
    store = MemoryStore()
    plan = chaptered_plan(2, 2)
    with pytest.raises(MemoryError) as caught:
        assemble(plan, loud_takes(plan, store), {}, {}, store, audio_format=AudioFormat.M4B)
    assert caught.value is error
    assert_nothing_is_left(store)


@pytest.mark.parametrize("at", [3, 7])
def test_whoever_ends_it_leaves_no_thread_in_either_pass(at: int) -> None:
    store = MemoryStore()
    plan = chaptered_plan(5)

    def stop(done: int, _total: int) -> None:
        if done == at:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        assemble(plan, loud_takes(plan, store), {}, {}, store, audio_format=AudioFormat.M4B, progress=stop)
    assert_nothing_is_left(store)


def test_a_thread_that_cannot_be_started_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operating system refuses the third thread of the second pass: uploads and branches have begun by then."""
    started: list[str] = []

    class Refusing(output.Branch):
        def __enter__(self) -> Self:
            started.append(self._thread.name)
            if len(started) == 3:
                raise RuntimeError("can't start new thread")
            return super().__enter__()

    monkeypatch.setattr(output, "Branch", Refusing)
    store = FailingStore(OSError())
    plan = chaptered_plan(1)
    with pytest.raises(RuntimeError, match="new thread"):
        assemble(plan, loud_takes(plan, store), {}, {}, store, audio_format=AudioFormat.FLAC)
    assert store.aborted == [f"narrations/{plan.narration_id}/audio.flac"]
    assert_nothing_is_left(store)
