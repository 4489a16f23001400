"""Any calls in any order, against a real Valkey: the ledger keeps its promises, and every narration comes to an end.

Hypothesis plays workers that die, freeze, come back with old tokens and repeat their calls, and loses every message.
"""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import pytest
import redis
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledgerwork import NO_MESSAGES, Places, audio, enter, new_narration, take

from producer.connection import connect_redis
from producer.contract.keys import successor_id
from producer.contract.settings import Settings
from producer.contract.status import State
from producer.ledger import ClaimOutcome, Ledger, Outcome

pytestmark = pytest.mark.integration

WINDOW = 3
MAX_ATTEMPTS = 3
MAX_ENDS = 2

segments = st.integers(0, 6)
processes = st.sampled_from(["p1", "p2", "p3"])
items = st.one_of(st.just("assemble"), segments.map(str))
delays = st.sampled_from([0.0, 500.0])

#: Where a run begins. Few that begin with the plan get as far as an assembly that finds segments lost.
STARTS = ["queued", "running", "running", "finalizing"]
lost_segments = st.lists(segments, min_size=1, unique=True)


class LedgerMachine(RuleBasedStateMachine):
    """Knows who holds which item; everything else it asks the ledger."""

    client: ClassVar[redis.Redis]
    redis_settings: ClassVar[Settings]

    tokens = Bundle("tokens")

    @initialize(target=tokens, num_segments=st.integers(1, 6), reached=st.sampled_from(STARTS))
    def start(self, num_segments: int, reached: str) -> tuple[str, str]:
        limits = {"window": WINDOW, "max_attempts": MAX_ATTEMPTS, "max_ends": MAX_ENDS}
        self.ledger = Ledger(self.client, self.redis_settings, **limits)
        self.id = enter(self.ledger)
        self.places = Places(self.client, self.redis_settings, self.id)
        self.total = num_segments
        #: item -> the token that the ledger must accept; an item that nobody holds is not in it.
        self.holders: dict[str, str] = {}
        #: segment -> (how it ended, the token that ended it)
        self.ended: dict[str, tuple[str, str]] = {}
        self.attempts: Counter[str] = Counter()
        #: item -> the process that got it last, and how many processes ended with it
        self.processes: dict[str, str] = {}
        self.ends: Counter[str] = Counter()
        #: The token that reopened segments last, until somebody assembles again.
        self.reopener: str | None = None
        self.final: State | None = None
        #: The token that ended the narration by its work.
        self.final_token: str | None = None
        self.num_rejected = 0
        self.num_out = 0
        self.is_retried = False
        token = self._claim("plan")
        assert token is not None
        if reached != "queued":
            assert self.ledger.planned(self.id, token, num_segments).is_accepted
        if reached == "finalizing":
            for item in map(str, range(num_segments)):
                self.complete((item, self._claim(item) or ""))
            return self.claim("assemble")
        return ("plan", token)

    def _claim(self, item: str, process: str = "p1") -> str | None:
        leases = self.places.leases()
        is_over = item in leases and leases[item] <= self.places.now_ms()
        claim = self.ledger.claim(self.id, item, process)
        assert claim.attempt <= MAX_ATTEMPTS
        if claim.outcome in (ClaimOutcome.ENDED, ClaimOutcome.DONE, ClaimOutcome.BUSY):
            return None
        if is_over:
            self.ends[item] += 1
        is_used_up = self.ends[item] >= MAX_ENDS or self.attempts[item] >= MAX_ATTEMPTS
        assert (claim.outcome is ClaimOutcome.EXHAUSTED) == is_used_up
        if claim.outcome is ClaimOutcome.SUSPECT:
            assert self.ends[item] > 0
            claim = self.ledger.claim(self.id, item, process, is_alone=True)
        elif claim.outcome is ClaimOutcome.GRANTED:
            assert self.ends[item] == 0, "a suspect was given to a process that may hold something else"
        if claim.outcome is ClaimOutcome.EXHAUSTED:
            self.holders.pop(item, None)
            if item in ("plan", "assemble"):
                self.final = State.FAILED
            else:
                self.ended[item] = ("failed", "")
        if claim.outcome is not ClaimOutcome.GRANTED:
            return None
        # Another may have held it only if that lease had run out.
        assert item not in self.ended
        assert self.final is None
        self.holders[item] = claim.token
        self.processes[item] = process
        if item == "assemble":
            self.reopener = None
        self.attempts[item] += 1
        assert claim.attempt == self.attempts[item]
        return claim.token

    @rule(target=tokens, item=items, process=processes)
    def claim(self, item: str, process: str = "p1") -> tuple[str, str]:
        held = self.holders.get(item)
        is_live = held is not None and self.places.leases().get(item, 0) > self.places.now_ms()
        token = self._claim(item, process)
        assert not (is_live and token), "an item was given away while its lease lived"
        return (item, token or "no-such-token")

    @precondition(lambda self: self.final is None and self.places.waiting())
    @rule(target=tokens, data=st.data())
    def take_a_message(self, data: st.DataObject) -> tuple[str, str]:
        return self.claim(data.draw(st.sampled_from(sorted(self.places.waiting()))))

    @precondition(lambda self: self.final is None and self.places.delayed())
    @rule(target=tokens, data=st.data())
    def take_after_the_pause(self, data: st.DataObject) -> tuple[str, str]:
        item = data.draw(st.sampled_from(sorted(self.places.delayed())))
        self.places.end_pause(item)
        return self.claim(item)

    @precondition(lambda self: self.final is None and self.places.leases())
    @rule(target=tokens, data=st.data())
    def take_over_from_the_dead(self, data: st.DataObject) -> tuple[str, str]:
        item = data.draw(st.sampled_from(sorted(self.places.leases())))
        self.places.end_lease(item)
        return self.claim(item)

    @precondition(lambda self: self.final is None and any(item.isdecimal() for item in self.holders))
    @rule(data=st.data())
    def finish_a_segment(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(sorted(item for item in self.holders if item.isdecimal())))
        self.complete((item, self.holders[item]))

    @precondition(lambda self: self.final is None and self.places.leases())
    @rule(data=st.data(), comes_back=st.sampled_from(["complete", "fail", "release", "renew"]))
    def come_back_from_the_dead(self, data: st.DataObject, comes_back: str) -> None:
        held = data.draw(st.sampled_from([(item, self.holders[item]) for item in sorted(self.places.leases())]))
        self.places.end_lease(held[0])
        self.reconcile(has_lost_messages=False)
        match comes_back:
            case "complete":
                self.complete(held)
            case "fail":
                self.fail(held, is_final=False, delay_s=0.0)
            case "release":
                self.release(held, delay_s=0.0)
            case "renew":
                self.renew(held)

    @rule(held=tokens)
    def plan(self, held: tuple[str, str]) -> None:
        item, token = held
        if item != "plan":
            return
        may = self.final is None and self.holders.get("plan") == token
        dispatch = self.ledger.planned(self.id, token, self.total)
        assert dispatch.is_accepted == may
        self.num_rejected += not may

    @rule(held=tokens)
    def complete(self, held: tuple[str, str]) -> None:
        item, token = held
        if item in ("plan", "assemble"):
            return
        was_done = self.ended.get(item) == ("done", token)
        may = self.final is None and (was_done or (item not in self.ended and self.holders.get(item) == token))
        dispatch = self.ledger.complete(self.id, int(item), token, take())
        assert dispatch.is_accepted == may
        self.num_rejected += not may
        if may:
            self.ended[item] = ("done", token)
            self.holders.pop(item, None)
            self.ends[item] = 0

    @rule(held=tokens, is_final=st.booleans(), delay_s=delays, is_end=st.booleans())
    def fail(self, held: tuple[str, str], is_final: bool, delay_s: float, is_end: bool = False) -> None:
        item, token = held
        if item == "plan" and is_final:
            return  # ends the example too early
        was_failed = self.ended.get(item) == ("failed", token) and token != ""
        is_planned = item == "plan" and self.places.field("state") != "queued"
        may = self.final is None and (was_failed or (self.holders.get(item) == token and not is_planned))
        has_ended_all = self.final is not None and self.final_token == token
        last = self.ledger.attempts(self.id).get(item, 0) >= MAX_ATTEMPTS
        why = {"code": "c", "reason": "r", "is_final": is_final, "is_end": is_end}
        dispatch = self.ledger.fail(self.id, item, token, **why, delay_s=delay_s)
        assert dispatch.is_accepted == (may or has_ended_all)
        self.num_rejected += not dispatch.is_accepted
        if not may or was_failed:
            return
        self.holders.pop(item)
        if is_end:
            self.ends[item] += 1
            last = last or self.ends[item] >= MAX_ENDS
        if (is_final or last) and item in ("plan", "assemble"):
            self.final = State.FAILED
            self.final_token = token
        elif is_final or last:
            self.ended[item] = ("failed", token)

    @rule(held=tokens, delay_s=delays)
    def release(self, held: tuple[str, str], delay_s: float) -> None:
        item, token = held
        is_planned = item == "plan" and self.places.field("state") != "queued"
        may = self.final is None and self.holders.get(item) == token and not is_planned
        assert self.ledger.release(self.id, item, token, delay_s=delay_s) == may
        self.num_rejected += not may
        if may:
            self.holders.pop(item)
            self.attempts[item] -= 1

    @rule(held=tokens)
    def renew(self, held: tuple[str, str]) -> None:
        item, token = held
        is_planned = item == "plan" and self.places.field("state") != "queued"
        may = self.final is None and self.holders.get(item) == token and not is_planned
        assert self.ledger.renew([(self.id, item, token)]) == [may]

    @rule(held=tokens)
    def worker_dies(self, held: tuple[str, str]) -> None:
        self.places.end_lease(held[0])

    @rule(process=processes)
    def process_dies(self, process: str) -> None:
        for item in self.holders:
            if self.processes[item] == process:
                self.places.end_lease(item)

    @rule(item=items)
    def pause_ends(self, item: str) -> None:
        self.places.end_pause(item)

    @rule(has_lost_messages=st.booleans())
    def reconcile(self, has_lost_messages: bool) -> None:
        over = [item for item, ends_ms in self.places.leases().items() if ends_ms <= self.places.now_ms()]
        resends = self.ledger.reconcile(self.id, grace_s=0, heads=NO_MESSAGES if has_lost_messages else {})
        names = [resend.item for resend in resends]
        assert len(names) == len(set(names))
        assert not set(names) & set(self.ended)
        for item in over:
            assert item in names
            self.holders.pop(item, None)
            self.ends[item] += 1

    @rule(held=tokens, wish=st.sampled_from([State.PARTIAL, State.FAILED, State.SUCCEEDED]))
    def commit(self, held: tuple[str, str], wish: State) -> None:
        item, token = held
        if item != "assemble":
            return
        has_gaps = any(how == "failed" for how, _ in self.ended.values())
        state = State.PARTIAL if has_gaps and wish is State.SUCCEEDED else wish
        # Segments may be missing again: somebody died while it reopened them.
        is_due = len(self.ended) == self.total
        may = self.final is None and self.holders.get("assemble") == token and is_due
        is_repeated = self.final is not None and self.final_token == token
        assert self.ledger.commit(self.id, token, state=state, audio=audio()) == (may or is_repeated)
        if may:
            self.final, self.final_token = state, token
        elif not is_repeated:
            self.num_rejected += 1

    @rule(held=tokens, lost=lost_segments)
    def reopen(self, held: tuple[str, str], lost: list[int]) -> None:
        item, token = held
        if item != "assemble":
            return
        may = self.final is None and self.holders.get("assemble") == token
        is_repeated = self.final is None and self.reopener == token
        dispatch = self.ledger.reopen(self.id, token, lost)
        assert dispatch.is_accepted == (may or is_repeated)
        # In several calls each of them is repeated; the first that is refused is the last.
        self.num_rejected += not dispatch.is_accepted
        if may:
            self._take_back(lost)
            self.holders.pop("assemble")
            self.attempts["assemble"] -= 1
            self.reopener = token
            assert set(dispatch.items) == set(self.places.waiting()) - {"assemble"}

    @precondition(lambda self: self.final is None and "assemble" in self.holders)
    @rule(lost=lost_segments)
    def find_segments_lost(self, lost: list[int]) -> None:
        self.reopen(("assemble", self.holders["assemble"]), lost)

    @precondition(lambda self: self.final is None and "assemble" in self.holders)
    @rule(lost=lost_segments)
    def die_while_reopening(self, lost: list[int]) -> None:
        token = self.holders["assemble"]
        self.ledger._run("reopen", self.id, token, WINDOW, MAX_ATTEMPTS, 0, *map(str, lost))
        self._take_back(lost)
        self.places.end_lease("assemble")

    def _take_back(self, lost: list[int]) -> None:
        for item in map(str, lost):
            if self.ended.get(item, ("", ""))[0] == "done":
                del self.ended[item]
                if self.attempts[item] >= MAX_ATTEMPTS:
                    self.ended[item] = ("failed", "")

    @precondition(lambda self: self.final is None and len(self.ended) > self.total // 2)
    @rule(item=items, is_claimed=st.booleans(), chance=st.integers(0, 4))
    def miss_the_deadline(self, item: str, is_claimed: bool, chance: int) -> None:
        if chance:
            return
        self.places.set_fields(deadline_ms=1, queue_timeout_ms=1_000, run_timeout_ms=2_000)
        if is_claimed:
            assert self.ledger.claim(self.id, item, "p1").outcome is ClaimOutcome.ENDED
        else:
            assert self.ledger.reconcile(self.id, grace_s=0, heads=NO_MESSAGES) == []
        self.final = State.EXPIRED

    @precondition(lambda self: len(self.ended) > self.total // 2)
    @rule(chance=st.integers(0, 4))
    def cancel(self, chance: int) -> None:
        if chance and self.final is None:
            return
        expected = self.final or State.CANCELLED
        assert self.ledger.cancel(self.id) is expected
        self.final = expected

    @precondition(lambda self: self.final is not None)
    @rule()
    def retry(self) -> None:
        """A successor is entered once, and what it takes up again stays as it ended."""
        entry = new_narration(narration_id=successor_id(self.id), retry_of=self.id)
        (creation,) = self.ledger.create([entry])
        assert creation.outcome is (Outcome.EXISTS if self.is_retried else Outcome.CREATED)
        self.is_retried = True
        assert self.ledger.record(entry.request.id).status.retry_of == self.id
        self.ledger.cancel(entry.request.id)

    @precondition(lambda self: self.final is not None)
    @rule(chance=st.integers(0, 4))
    def delete(self, chance: int) -> None:
        if not chance:
            assert self.ledger.delete(successor_id(self.id), None)
            self.is_retried = False

    @precondition(lambda self: self.final is None)
    @rule()
    def delete_too_early(self) -> None:
        assert not self.ledger.delete(self.id, None)

    @invariant()
    def the_final_state_never_changes(self) -> None:
        record = self.ledger.record(self.id)
        if self.final is not None:
            assert record.state is self.final
            assert self.id not in self.ledger.active()
        else:
            assert not record.state.is_terminal
        assert record.num_rejected == self.num_rejected

    @invariant()
    def attempts_count_what_was_granted_and_not_given_back(self) -> None:
        if self.final is None:
            assert self.ledger.attempts(self.id) == {
                item: self.attempts[item] for item in self.ledger.attempts(self.id)
            }
            made = sum(count for item, count in self.attempts.items() if item.isdecimal())
            assert self.ledger.record(self.id).status.num_attempts == made

    @invariant()
    def every_segment_is_in_exactly_one_place(self) -> None:
        if self.final is not None or self.places.field("state") == "queued":
            return
        out = [*self.places.waiting(), *self.places.delayed(), *self.places.leases()]
        assert len(out) == len(set(out))
        out_segments = [item for item in out if item.isdecimal()]
        held = {item for item in self.places.leases() if item.isdecimal()}
        # The window narrows when a process dies with its leases: what is out then stays out, nothing is added.
        assert len(out_segments) <= max(WINDOW, 2 * len(held), self.num_out)
        self.num_out = len(out_segments)
        lane = {item: 1 if item in held else 0 for item in out_segments if item not in self.places.delayed()}
        assert self.places.lane() == lane
        status = self.ledger.record(self.id).status
        how_ended = [how for how, _ in self.ended.values()]
        assert (status.num_done, status.num_failed) == (how_ended.count("done"), how_ended.count("failed"))
        assert self.places.num_done() == len(self.ledger.takes(self.id)) == status.num_done
        assert set(self.ledger.failures(self.id)) == {int(i) for i, (how, _) in self.ended.items() if how == "failed"}
        assert status.audio_s == 1.5 * status.num_done
        reopened = set(self.places.reopened())
        assert not reopened & (set(out_segments) | set(self.ended))
        unsent = self.total - int(self.places.field("cursor") or 0) + len(reopened)
        assert len(out_segments) + status.num_done + status.num_failed + unsent == self.total
        assert not set(out_segments) & set(self.ended)

    @invariant()
    def a_lease_belongs_to_the_one_that_holds_it(self) -> None:
        if self.final is None:
            assert set(self.places.leases()) <= set(self.holders)

    def teardown(self) -> None:
        """Whatever happened: with a healthy worker and nothing but the reconciler's messages, it comes to an end."""
        for _ in range(20 * (MAX_ATTEMPTS + 1)):
            if self.ledger.record(self.id).state.is_terminal:
                break
            for item in self.places.leases():
                self.places.end_lease(item)
            for item in self.places.delayed():
                self.places.end_pause(item)
            for resend in self.ledger.reconcile(self.id, grace_s=0, heads=NO_MESSAGES):
                self._work_on(resend.item)
        else:
            pytest.fail("the narration never came to an end")
        left = {key.decode().rpartition(":")[2] for key in self.client.scan_iter(f"*narration:{self.id}:*")}
        assert left <= {"log"}

    def _work_on(self, item: str) -> None:
        claim = self.ledger.claim(self.id, item, "healthy", is_alone=True)
        if claim.token is None:
            return
        if item == "plan":
            self.ledger.planned(self.id, claim.token, self.total)
        elif item == "assemble":
            assert self.ledger.commit(self.id, claim.token, state=State.PARTIAL, audio=audio())
        else:
            assert self.ledger.complete(self.id, int(item), claim.token, take()).is_accepted


@pytest.mark.slow
def test_the_ledger_keeps_its_promises_whatever_is_called_in_whatever_order(settings: Settings) -> None:
    LedgerMachine.client = connect_redis(settings)
    LedgerMachine.redis_settings = settings
    run_state_machine_as_test(LedgerMachine, settings=MACHINE_SETTINGS)


#: About ten seconds. Wall time is no verdict, so there is no deadline.
MACHINE_SETTINGS = hypothesis_settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    derandomize=False,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
    database=None,
)
