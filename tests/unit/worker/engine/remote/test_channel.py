from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from worker.engine.remote.channel import Channel, frame_of
from worker.engine.remote.outbox import Outbox
from worker.engine.request import Take

DEADLINE_S = 20.0


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    one, other = map(Channel, socket.socketpair())
    yield one, other
    one.close()
    other.close()


@dataclass(frozen=True, slots=True)
class Later:
    """A take of a later version: one array more."""

    pcm: np.ndarray
    timings: np.ndarray | None = None


def test_an_object_with_any_arrays_comes_out_as_it_went_in(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    sent = Later(np.arange(7, dtype=np.float32), np.arange(6, dtype=np.int64).reshape(2, 3)[:, ::2])
    one.write(frame_of(sent))
    received = other.receive()
    assert isinstance(received, Later)
    assert received.timings is not None
    for ours, theirs in ((sent.pcm, received.pcm), (sent.timings, received.timings)):
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("num_samples", [0, 1, 300_000])
def test_the_samples_of_a_take_are_not_in_its_pickle(num_samples: int) -> None:
    pcm = np.zeros(num_samples, np.float32)
    body, *arrays = frame_of(Take(pcm, 24_000, 1, 0.5, True))
    assert len(body) < 1_000
    assert [memoryview(array).nbytes for array in arrays] == [pcm.nbytes]
    if num_samples:
        assert np.shares_memory(np.frombuffer(arrays[0], np.float32), pcm)


def test_a_message_without_arrays_and_an_empty_one_come_through(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    for message in (None, "words", np.zeros(0, np.float32)):
        one.write(frame_of(message))
        assert np.array_equal(other.receive(), message)  # type: ignore[arg-type]


@pytest.mark.parametrize("num_bytes", [0, 3, 40])
def test_an_end_that_is_closed_in_the_middle_of_a_message_is_an_end_of_file(
    num_bytes: int, ends: tuple[Channel, Channel]
) -> None:
    one, other = ends
    body, *_ = frame_of("a message that is longer than forty bytes, with its sizes")
    one.write([body[:num_bytes]])
    one.close()
    with pytest.raises(EOFError):
        other.receive()


def test_both_ends_can_say_more_than_the_socket_holds_before_either_reads(ends: tuple[Channel, Channel]) -> None:
    boxes = [Outbox(end, name="outbox") for end in ends]
    samples = np.arange(1_000_000, dtype=np.float32)
    for box in boxes:
        for _ in range(3):
            box.put(samples)
    for end in ends:
        for _ in range(3):
            assert np.array_equal(end.receive(), samples)
    assert [box.stop(DEADLINE_S) for box in boxes] == [True, True]


def test_what_is_said_to_an_end_that_is_gone_is_dropped(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    box = Outbox(one, name="outbox")
    other.close()
    for _ in range(3):
        box.put(np.zeros(1_000_000, np.float32))
    assert box.stop(DEADLINE_S)
    box.put("and after that")
    assert not any(thread.name == "outbox" for thread in threading.enumerate())


def test_what_cannot_be_sent_is_the_senders_to_know(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    box = Outbox(one, name="outbox")
    with pytest.raises(Exception, match="lambda"):
        box.put(lambda: None)
    box.put("the next")
    assert other.receive() == "the next"
    assert box.stop(DEADLINE_S)


def test_several_messages_that_come_at_once_are_taken_one_by_one(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    messages = ["first", np.arange(5_000, dtype=np.int32), "x" * 70_000, np.arange(3), "last"]
    box = Outbox(one, name="outbox")
    for message in messages:
        box.put(message)
    assert box.stop(DEADLINE_S)
    for message in messages:
        assert np.array_equal(other.receive(), message)  # type: ignore[arg-type]
