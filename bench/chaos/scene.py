"""What a row plays in: servers, proxies, workers, a producer, and our own log of what was acknowledged.

Knows nothing of faults; at the end it lets the audit look and adds up what happened.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.chaos.audit import MAX_ATTEMPTS, audit
from bench.chaos.book import CANARY, Book
from bench.chaos.executions import read_executions
from bench.chaos.fleet import Fleet, Worker
from bench.chaos.orders import Orders
from bench.chaos.outcome import Outcome
from bench.chaos.recovery import IS_OFFERED, percentile, recoveries_s
from bench.chaos.servers import Servers
from bench.chaos.slowness import slowness
from producer import Client, Settings
from producer.contract.status import NarrationStatus, State
from producer.ledger import Ledger

#: Seconds after which the work of a dead worker must have been taken up.
MAX_RECOVERY_S = 65.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything: the whole matrix, or the part that `make test` runs."""

    is_full: bool

    def of(self, full: Any, short: Any) -> Any:
        """Return the one that applies."""
        return full if self.is_full else short


class Scene:
    """One row's own part of the servers, told apart by prefixes."""

    def __init__(self, outcome: Outcome, servers: Servers, folder: Path, *, seed: str, scale: Scale) -> None:
        self.outcome = outcome
        self.servers = servers
        self.folder = folder
        self.scale = scale
        self.random = random.Random(seed)
        self.seed = seed
        name = f"chaos-{os.getpid()}-{outcome.row}".lower()
        self._prefixes = {"CHATTERQUEUE_REDIS_PREFIX": f"{name}:", "CHATTERQUEUE_S3_PREFIX": f"{name}/"}
        os.environ.update({**servers.environment(), **self._prefixes})
        self.settings = Settings.load()
        self.client = Client(self.settings)
        self.acknowledged: dict[str, Book] = {}
        self.seen_ends: dict[str, State] = {}
        self.recoveries: list[float] = []
        self.are_gaps_allowed = False
        self.max_attempts = MAX_ATTEMPTS
        #: False once Redis has lost what happened; what was accepted before is then in no log.
        self.is_log_whole = True
        self.fleet = Fleet(folder, self.environment())

    def environment(self, **ports: int) -> dict[str, str]:
        """Return the variables of a worker or a producer of this row, past the proxies on these ports if any."""
        return {
            **os.environ,
            **self.servers.environment(**ports),
            **self._prefixes,
            "CHATTERQUEUE_ENGINE": "tone",
            # The whole matrix plays the product's own limits; the short one has no time for them.
            **({} if self.scale.is_full else {"CHATTERQUEUE_LEASE_S": "3", "CHATTERQUEUE_LOST_AFTER_S": "3"}),
        }

    def expect_kills(self) -> dict[str, str]:
        """Allow many deaths of processes; return the settings for that.

        By itself the product takes two deaths of a process for the segment's own fault, as they are where nobody kills.
        """
        self.max_attempts = 20
        # What waits for the leases of the dead takes up the window; with the usual one little else could be sent.
        window = {"CHATTERQUEUE_WINDOW": "160"}
        return {"CHATTERQUEUE_MAX_ATTEMPTS": "20", "CHATTERQUEUE_MAX_ENDS": "20", **window}

    def client_through(self, **ports: int) -> Client:
        """Return a producer that goes through proxies."""
        variables = self.environment(**ports)
        overrides = {
            "redis_url": variables["CHATTERQUEUE_REDIS_URL"],
            "s3_endpoint_url": variables["CHATTERQUEUE_S3_ENDPOINT_URL"],
        }
        return Client(Settings.load(**overrides))

    @property
    def ledger(self) -> Ledger:
        """The ledger, past all proxies."""
        return Ledger(self.client._services.redis, self.settings)

    @property
    def redis(self) -> Any:
        """Valkey, past all proxies."""
        return self.client._services.redis

    def start_worker(self, segment_s: float = 0.05, **named: Any) -> Worker:
        """Start a worker whose engine takes so long for a segment; see `Fleet.start` and `Orders`."""
        ports = named.pop("ports", {})
        orders = {name: named.pop(name) for name in ("crash_at", "clock_skew_s") if name in named}
        environment = {**(self.environment(**ports) if ports else {}), **named.pop("environment", {})}
        return self.fleet.start(Orders(self.folder, segment_s, **orders), environment=environment, **named)

    def start_workers(self, count: int, segment_s: float = 0.05, **named: Any) -> None:
        """Start workers side by side and wait until all of them take work."""
        workers = [self.start_worker(segment_s, is_awaited=False, **named) for _ in range(count)]
        for worker in workers:
            self.wait_for(worker.is_ready, lambda worker=worker: f"it is ready; its log:\n{worker.log()[-3000:]}")

    def submit(self, book: Book, *, client: Client | None = None, **fields: Any) -> str:
        """Hand in a book; what is acknowledged is noted here."""
        job = (client or self.client).submit(book.narration(**fields))
        self.acknowledge(job.id, book)
        return job.id

    def acknowledge(self, narration_id: str, book: Book) -> None:
        """Note that a submit was acknowledged."""
        self.acknowledged[narration_id] = book

    def book(self, num_segments: int, name: str = "", *, poisons: Sequence[str] = ()) -> Book:
        """Return a book that no other row, seed or name has."""
        return Book.of(f"row {self.outcome.row} seed {self.seed} {name}".strip(), num_segments, poisons=poisons)

    def status(self, narration_id: str) -> NarrationStatus:
        """Return where a narration stands.

        Raises:
            LookupError: it is not known.
        """
        (status,) = self.ledger.read([narration_id])
        if status is None:
            raise LookupError(f"narration {narration_id} is not known")
        if status.state.is_terminal:
            self.seen_ends.setdefault(narration_id, status.state)
        return status

    def wait_for(self, is_so: Callable[[], bool], what: Callable[[], str] | str, timeout_s: float = 120.0) -> None:
        """Wait for something, longer on a busy machine; see `Fleet.wait_until`."""
        self.fleet.wait_until(is_so, what, timeout_s * slowness())

    def wait_for_done(self, narration_id: str, num_done: int, timeout_s: float = 120.0) -> None:
        """Wait until so many segments are done."""
        self.wait_for(
            lambda: self.status(narration_id).num_done >= num_done,
            lambda: f"{num_done} segments done: {self.status(narration_id)}",
            timeout_s,
        )

    def are_over(self) -> bool:
        """Say whether every acknowledged narration has ended; one that is not known may still be put back."""
        statuses = self.ledger.read(list(self.acknowledged))
        for status in statuses:
            if status is not None and status.state.is_terminal:
                self.seen_ends.setdefault(status.id, status.state)
        return all(status is not None and status.state.is_terminal for status in statuses)

    def wait_for_all(self, timeout_s: float = 120.0) -> None:
        """Wait until everything has ended; what has not is named by the audit."""
        try:
            self.wait_for(self.are_over, "everything ended", timeout_s)
        except TimeoutError:
            self.outcome.figures["waited_in_vain_s"] = timeout_s

    def expect(self, is_so: bool, what: str) -> None:
        """Note a violation unless something is so."""
        if not is_so:
            self.outcome.violations.append(what)

    def expect_within(self, seconds: float, limit_s: float, what: str) -> None:
        """Note a violation if something took longer than is promised, however busy the machine was."""
        self.expect(seconds <= limit_s, f"{what} took {seconds:.1f} s; the limit is {limit_s:g} s")

    def expect_state(self, narration_id: str, *states: State) -> NarrationStatus:
        """Note a violation unless a narration is in one of these states; return its status."""
        status = self.status(narration_id)
        self.expect(status.state in states, f"{narration_id} is {status.state}, not {' or '.join(states)}: {status}")
        return status

    def finish(self) -> None:
        """Let the audit look, and add up what happened."""
        outcome = self.outcome
        finding = audit(
            self.settings,
            self.acknowledged,
            seen_ends=self.seen_ends,
            are_gaps_allowed=self.are_gaps_allowed,
            max_attempts=self.max_attempts,
            is_log_whole=self.is_log_whole,
        )
        done = read_executions(self.folder / "executions", self.fleet.killed_s)
        self.recoveries += recoveries_s(finding.logs.values(), self.fleet.killed)
        if offers := recoveries_s(finding.logs.values(), self.fleet.killed, IS_OFFERED):
            outcome.figures["offered_again_p99_s"] = _rounded(percentile(offers, 99))
        outcome.acknowledged = len(self.acknowledged)
        outcome.terminal = finding.num_terminal
        outcome.lost = finding.num_lost
        outcome.doubled_effects = finding.num_doubled_effects
        outcome.doubled_executions = done.num_doubled
        outcome.rejected = finding.num_rejected
        outcome.wasted_percent = round(done.wasted_percent, 2)
        outcome.orphans = finding.num_orphans
        outcome.recovery_p50_s = _rounded(percentile(self.recoveries, 50))
        outcome.recovery_p99_s = _rounded(percentile(self.recoveries, 99))
        if finding.num_innocent_gaps:
            outcome.figures["innocent_gaps"] = finding.num_innocent_gaps
        outcome.violations += finding.violations
        if any(CANARY in log for log in self.fleet.logs()):
            outcome.violations.append("I12 the text is in a worker's log")
        # Not in the short form: it runs beside other tests, and how long a start takes then says nothing.
        if self.scale.is_full and outcome.recovery_p99_s is not None:
            self.expect_within(outcome.recovery_p99_s, MAX_RECOVERY_S, "P8 recovery")
        outcome.load = round(os.getloadavg()[0], 1)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


@contextmanager
def playing(outcome: Outcome, servers: Servers, folder: Path, *, seed: str, scale: Scale) -> Iterator[Scene]:
    """Set a scene, play in it, audit it, and leave no process behind; what goes wrong is a violation of the row."""
    begun_s = time.monotonic()
    folder.mkdir(parents=True)
    scene = Scene(outcome, servers, folder, seed=seed, scale=scale)
    try:
        with scene.fleet:
            try:
                yield scene
            except (TimeoutError, LookupError) as error:
                outcome.violations.append(f"{type(error).__name__}: {error}")
            scene.finish()
    finally:
        scene.client.close()
        outcome.wall_s = round(time.monotonic() - begun_s, 1)
