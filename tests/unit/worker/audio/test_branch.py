"""Samples consumed on another thread: all of them, in order, and no error is lost."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.audio.branch import MAX_WAITING, Branch

#: More than can wait, so that whoever feeds them would hang if nobody took them.
NUM_BLOCKS = 3 * MAX_WAITING


def block(number: int) -> NDArray[np.int16]:
    return np.full(3, number, np.int16)


def branch_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("assembly-")]


class Consumer:
    """Notes the number of each block; fails at one of them, always with the same error."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.seen: list[int] = []
        self.threads: set[str] = set()
        self.failed = threading.Event()
        self.error = OSError("the disk is full")
        self._fails_at = fails_at

    def consume(self, pcm: NDArray[np.int16]) -> None:
        self.threads.add(threading.current_thread().name)
        self.seen.append(int(pcm[0]))
        if self.seen[-1] == self._fails_at:
            self.failed.set()
            raise self.error


def test_every_block_is_consumed_in_order_on_one_other_thread():
    consumer = Consumer()
    with Branch(consumer.consume, name="test") as branch:
        for number in range(NUM_BLOCKS):
            branch.feed(block(number))
    assert consumer.seen == list(range(NUM_BLOCKS))
    assert consumer.threads == {"assembly-test"}
    assert branch_threads() == []


def test_no_more_than_a_few_blocks_wait():
    go_on = threading.Event()
    fed: list[int] = []

    def feed_all() -> None:
        with Branch(lambda _pcm: go_on.wait(), name="test") as branch:
            for number in range(NUM_BLOCKS):
                branch.feed(block(number))
                fed.append(number)

    feeder = threading.Thread(target=feed_all)
    feeder.start()
    feeder.join(0.2)
    assert len(fed) <= MAX_WAITING + 1  # and the one that is being consumed
    go_on.set()
    feeder.join(30)
    assert len(fed) == NUM_BLOCKS


def test_whoever_feeds_gets_the_very_error_of_the_consumer():
    consumer = Consumer(fails_at=0)

    def feed_all() -> None:
        with Branch(consumer.consume, name="test") as branch:
            branch.feed(block(0))
            assert consumer.failed.wait(30)
            for number in range(1, NUM_BLOCKS):
                branch.feed(block(number))
            pytest.fail("nobody heard of it")

    with pytest.raises(OSError, match="the disk is full") as caught:
        feed_all()
    assert caught.value is consumer.error
    assert consumer.seen == [0]
    assert branch_threads() == []


def test_an_error_of_the_last_block_is_raised_at_the_end():
    consumer = Consumer(fails_at=1)

    def feed_both() -> None:
        with Branch(consumer.consume, name="test") as branch:
            branch.feed(block(0))
            branch.feed(block(1))

    with pytest.raises(OSError, match="full") as caught:
        feed_both()
    assert caught.value is consumer.error
    assert branch_threads() == []


def test_an_error_of_whoever_feeds_ends_it_when_the_blocks_before_are_consumed():
    consumer = Consumer()

    def break_off() -> None:
        with Branch(consumer.consume, name="test") as branch:
            branch.feed(block(0))
            branch.feed(block(1))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        break_off()
    assert consumer.seen == [0, 1]
    assert branch_threads() == []


def test_the_error_of_whoever_feeds_comes_before_that_of_the_consumer():
    consumer = Consumer(fails_at=0)

    def break_off() -> None:
        with Branch(consumer.consume, name="test") as branch:
            branch.feed(block(0))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        break_off()
    assert consumer.seen == [0]
