from __future__ import annotations

import logging

import pytest
from workerfakes import NARRATION_ID, FakeLedger, FakeMessenger, dispatch

from producer.contract.errors import MalformedMessageError, QueueUnavailableError, StorageUnavailableError
from producer.ledger import ClaimOutcome
from worker.errors import (
    DrainingError,
    EngineFaultError,
    EngineUnavailableError,
    LanguageUnsupportedError,
    LeaseLostError,
    SynthesisError,
)
from worker.narration.attempt import LONGEST_RETRY_S, Attempts, retry_delay_s
from worker.narration.drain import Drain
from worker.narration.lease import LeaseBook


class Bench:
    def __init__(self, ledger: FakeLedger | None = None) -> None:
        self.ledger = ledger or FakeLedger()
        self.messenger = FakeMessenger()
        self.book = LeaseBook()
        self.drain = Drain(10.0)
        self.ends: list[str] = []
        self.attempts = Attempts(
            ledger=self.ledger,
            messenger=self.messenger,
            book=self.book,
            drain=self.drain,
            worker="host:1",
            end_process=self.ends.append,
        )

    def run(self, error: BaseException | None = None, result=None) -> None:
        def work(lease):
            assert self.book.leases() == [lease]
            if error is not None:
                raise error
            return result

        self.attempts.run(NARRATION_ID, "3", work)
        assert self.book.leases() == []


def test_what_the_ledger_dispatches_is_sent_when_the_work_is_done():
    bench = Bench()
    bench.run(result=dispatch("7", "8", needs_assembly=True))
    assert bench.messenger.segments == ["7", "8"]
    assert bench.messenger.num_assemble == 1


REFUSALS = set(ClaimOutcome) - {ClaimOutcome.GRANTED, ClaimOutcome.SUSPECT}


@pytest.mark.parametrize("outcome", sorted(REFUSALS))
def test_no_work_is_done_but_the_dispatch_is_sent_when_the_claim_is_refused(outcome):
    bench = Bench(FakeLedger(outcome=outcome, claim_dispatch=dispatch("5")))
    bench.attempts.run(NARRATION_ID, "3", lambda _: pytest.fail("it worked"))
    assert bench.ledger.names() == ["claim"]
    assert bench.messenger.segments == ["5"]


def test_messages_about_narrations_that_have_ended_or_that_nobody_knows_are_counted(caplog):
    caplog.set_level(logging.INFO)
    bench = Bench(FakeLedger(outcome=ClaimOutcome.ENDED))
    for _ in range(3):
        bench.attempts.run(NARRATION_ID, "3", lambda _: pytest.fail("it worked"))
    stale = [record.num_stale for record in caplog.records if record.getMessage() == "hint_stale"]
    assert stale == [1, 2, 3]


def test_a_suspect_is_claimed_again_alone_and_worked_on():
    bench = Bench(FakeLedger(outcome=ClaimOutcome.SUSPECT))
    bench.run(result=dispatch("7"))
    assert [fields["is_alone"] for name, fields in bench.ledger.calls if name == "claim"] == [False, True]
    assert bench.messenger.segments == ["7"]


def test_the_item_is_tried_again_after_a_pause_when_the_error_may_pass():
    bench = Bench(FakeLedger(attempt=2))
    bench.run(SynthesisError("it stuttered"))
    failure = bench.ledger.last("fail")
    assert failure["code"] == "synthesis"
    assert not failure["is_final"]
    assert 1.0 <= failure["delay_s"] <= 2.0


def test_the_item_fails_for_good_when_the_error_will_not_pass():
    bench = Bench(FakeLedger(answer=dispatch("9", needs_assembly=True)))
    bench.run(LanguageUnsupportedError("it speaks no Latin"))
    assert bench.ledger.last("fail")["is_final"]
    assert bench.messenger.segments == ["9"]
    assert bench.messenger.num_assemble == 1


@pytest.mark.parametrize(
    "error", [MemoryError(), SystemExit(3), KeyboardInterrupt(), RecursionError(), ZeroDivisionError()]
)
def test_only_the_attempt_ends_when_the_work_raises_what_would_end_a_process(error):
    bench = Bench()
    bench.run(error)
    failure = bench.ledger.last("fail")
    assert failure["code"] == "internal_error"
    assert type(error).__name__ in failure["reason"]
    assert not failure["is_final"]


def test_the_text_stays_out_of_log_and_ledger_when_an_unknown_error_quotes_it(caplog):
    bench = Bench()
    with caplog.at_level(logging.DEBUG):
        bench.run(RuntimeError("cannot speak 'a secret sentence'"))
    assert "secret" not in bench.ledger.last("fail")["reason"]
    assert not any("secret" in str(vars(record)) for record in caplog.records)
    assert any("test_attempt.py" in getattr(record, "where", "") for record in caplog.records)


@pytest.mark.parametrize(
    "error",
    [
        QueueUnavailableError("redis", "away"),
        StorageUnavailableError("s3", "away"),
        EngineUnavailableError("it waits for a worker with engine chatterbox"),
    ],
)
def test_the_attempt_is_refunded_and_the_reason_shown_when_it_is_not_the_items_fault(error):
    bench = Bench()
    bench.run(error)
    assert bench.ledger.names() == ["claim", "release"]
    release = bench.ledger.last("release")
    assert release["delay_s"] > 0
    assert release["reason_code"] == error.code
    assert release["reason"] == str(error)


def test_the_item_is_given_back_and_its_message_too_when_the_process_drains():
    bench = Bench()
    with pytest.raises(DrainingError):
        bench.run(DrainingError())
    assert bench.ledger.last("release")["delay_s"] == 0


def test_nothing_is_claimed_when_the_process_is_already_draining():
    bench = Bench()
    bench.drain.begin()
    with pytest.raises(DrainingError):
        bench.run()
    assert bench.ledger.names() == []


def test_nothing_is_written_when_the_lease_was_lost():
    bench = Bench()
    bench.run(LeaseLostError(NARRATION_ID, "3"))
    assert bench.ledger.names() == ["claim"]


def test_the_process_ends_when_its_engine_is_broken():
    bench = Bench()
    bench.run(EngineFaultError("device-side assert"))
    assert not bench.ledger.last("fail")["is_final"]
    assert bench.ledger.last("fail")["is_end"]
    assert bench.ends == ["device-side assert"]


def test_a_segment_that_was_not_begun_when_the_engine_broke_keeps_its_attempt():
    bench = Bench()
    with pytest.raises(DrainingError):
        bench.run(EngineFaultError("device-side assert", False))
    assert bench.ledger.names() == ["claim", "release"]
    assert bench.ledger.last("release")["reason_code"] == "engine_fault"
    assert bench.ends == ["device-side assert"]


def test_nothing_comes_out_when_redis_is_away_at_the_end():
    ledger = FakeLedger(error=QueueUnavailableError("redis", "away"))
    Bench(ledger).run(SynthesisError("it stuttered"))
    Bench(ledger).run(StorageUnavailableError("s3", "away"))


def test_the_outcome_stands_when_its_messages_cannot_be_sent():
    bench = Bench()
    bench.messenger.error = QueueUnavailableError("redis", "away")
    bench.run(result=dispatch("7"))


def test_a_malformed_record_ends_the_item_for_good():
    bench = Bench()
    bench.run(MalformedMessageError("a plan", "it is of version 9"))
    assert bench.ledger.last("fail")["is_final"]


def test_the_pause_grows_up_to_its_limit():
    assert 0.5 <= retry_delay_s(1) <= 1.0
    assert 4.0 <= retry_delay_s(4) <= 8.0
    assert retry_delay_s(20) <= LONGEST_RETRY_S
