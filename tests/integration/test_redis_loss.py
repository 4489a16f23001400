"""Redis loses everything, or its last writes, in the middle of a book: the book is finished, nothing spoken twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from narrating import Farm, sentences
from ownvalkey import OwnValkey
from processes import wait_for

from producer.audit import Audit, Scope
from producer.cli import main
from producer.contract.errors import QueueUnavailableError
from producer.contract.exitcode import ExitCode
from producer.contract.keys import RedisKeys
from producer.contract.narration import Narration
from producer.contract.settings import Settings
from producer.contract.status import State

pytestmark = pytest.mark.integration

NUM_SEGMENTS = 60

#: A segment takes long enough for the book to be half-way for some seconds.
SLOW = {"CHATTERQUEUE_TONE_SEGMENT_S": "0.05", "CHATTERQUEUE_LEASE_S": "3", "CHATTERQUEUE_LOST_AFTER_S": "2"}

TAKE = re.compile(r"take_finished .*segment_index=(\d+).*is_reused=(true|false)")


@pytest.fixture
def valkey(tmp_path) -> Iterator[OwnValkey]:
    folder = tmp_path / "valkey"
    folder.mkdir()
    server = OwnValkey(folder)
    server.start()
    yield server
    server.kill9()


@pytest.fixture
def settings(settings: Settings, valkey: OwnValkey, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """As everywhere, but for a Redis that no other test uses."""
    monkeypatch.setenv("CHATTERQUEUE_REDIS_URL", valkey.url)
    return Settings.load()


@pytest.fixture
def farm(settings) -> Farm:
    return Farm(settings)


def syntheses(log: str) -> Counter[int]:
    """Return how often each segment was synthesized, by a worker's log."""
    return Counter(int(index) for index, is_reused in TAKE.findall(log) if is_reused == "false")


def half_way(farm: Farm) -> str:
    """Hand in a book and return its id when half of it is spoken."""
    (narration_id,) = farm.submit(Narration(text=sentences(NUM_SEGMENTS), engine="tone", format="flac"))
    farm.wait_for(narration_id, lambda status: status.num_done >= NUM_SEGMENTS // 2, "half of it done")
    return narration_id


def wait_until_it_ends(farm: Farm, narration_id: str) -> None:
    def has_ended() -> bool:
        try:
            (status,) = farm.ledger.read([narration_id])
        except QueueUnavailableError:
            return False
        return status is not None and status.state.is_terminal

    wait_for(has_ended, "the book has ended", timeout_s=60)


def assert_whole(farm: Farm, narration_id: str) -> None:
    status = farm.status(narration_id)
    assert (status.state, status.num_done) == (State.SUCCEEDED, NUM_SEGMENTS)
    auditor = Audit(farm.settings)
    report = auditor.run(Scope(acknowledged_ids=[narration_id], is_at_rest=True, is_decoding=True))
    auditor.close()
    assert report.is_whole, [str(violation) for violation in report.violations]


def test_the_book_is_finished_and_no_finished_segment_spoken_again_when_redis_is_emptied(farm, start_worker):
    worker = start_worker(env=SLOW)
    narration_id = half_way(farm)
    finished = syntheses(worker.log())
    farm.redis.flushall()
    wait_until_it_ends(farm, narration_id)
    assert_whole(farm, narration_id)
    spoken = syntheses(worker.log())
    assert len(finished) >= NUM_SEGMENTS // 2 - 2  # a line of the log may come after the ledger's count
    assert {index for index in finished if spoken[index] > 1} == set()
    # What was being spoken at that moment may have been begun again: the one that the engine had, and what it finished
    # between the log that was read and the emptying.
    assert sum(spoken.values()) <= NUM_SEGMENTS + 3
    assert farm.status(narration_id).num_reused >= NUM_SEGMENTS // 2
    assert "ledger_rebuilt" in worker.log()


def test_the_book_is_finished_and_no_finished_segment_spoken_again_when_the_power_fails(farm, start_worker, valkey):
    """Every process ends at once, and the end of the append-only file was never written to the disk."""
    first = start_worker(env=SLOW)
    book = half_way(farm)
    num_done = farm.status(book).num_done
    (late,) = farm.submit(Narration(text=sentences(2), engine="tone", format="flac", priority="high"))
    farm.wait(late)
    first.kill9()
    finished = syntheses(first.log())
    valkey.kill9()
    valkey.cut_tail(0.5)
    valkey.start()
    assert farm.status(book).num_done < num_done
    assert farm.ledger.read([late]) == [None]  # what succeeded is forgotten altogether

    second = start_worker(env=SLOW)

    for narration_id in (book, late):
        wait_until_it_ends(farm, narration_id)
    assert_whole(farm, book)
    again = syntheses(second.log())
    # By key, as the two narrations have the same numbers: nothing that was stored is made anew.
    assert sum(finished.values()) >= NUM_SEGMENTS // 2
    assert sum(again.values()) <= NUM_SEGMENTS - sum(finished.values()) + 2 + 1
    assert farm.status(late).state is State.SUCCEEDED


def test_what_lost_its_record_is_put_back_when_somebody_asks_for_it(farm, start_worker, settings, capsys):
    start_worker(env=SLOW)
    (narration_id,) = farm.submit(Narration(text=sentences(2), engine="tone", format="flac"))
    farm.wait(narration_id)
    wait_for(
        lambda: farm.redis.exists(RedisKeys(settings.redis_prefix).epoch()) == 1, "the epoch is settled", timeout_s=60
    )
    farm.redis.delete(f"{settings.redis_prefix}narration:{narration_id}")
    assert main(["rebuild"]) == ExitCode.OK
    assert "the ledger is whole" in capsys.readouterr().out
    assert farm.status(narration_id).state is State.SUCCEEDED


def test_nobody_rebuilds_when_no_worker_is_there(farm, settings, capsys):
    assert main(["rebuild", "--timeout", "0"]) == ExitCode.TIMEOUT
    assert "no worker" in capsys.readouterr().err
