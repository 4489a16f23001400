"""Whether a narration's record and its items fit together in Redis: counts, places, attempts, leases.

Knows nothing of S3.
"""

from __future__ import annotations

from collections.abc import Iterator

from producer.audit.ledgerview import LedgerView
from producer.audit.report import Invariant, Report
from producer.audit.scope import Scope
from producer.contract.status import State

_REBUILD = "delete the record and run `chatterqueue rebuild`: it is put back from S3"
_REPORT = "no script does that: report it with this output"


def check_places(view: LedgerView, scope: Scope, report: Report) -> None:
    """Check one narration that has a record."""
    narration_id = view.narration_id
    if view.state is None:
        text = f"its record says state {view.fields.get('state')!r}, which is none"
        report.add(Invariant.ONE_END, narration_id, None, text, _REBUILD)
        return
    if not view.is_listed:
        text = "it is missing in the index of narrations"
        report.add(Invariant.NO_LEAKS, narration_id, None, text, "run `chatterqueue rebuild`")
    if view.is_open:
        if scope.is_at_rest:
            text = f"it is {view.state} although nothing is under way any more"
            report.add(Invariant.ACCEPTED_IS_KEPT, narration_id, None, text, "start a worker, and look at its log")
        if not view.is_restoring:
            _check_open(view, scope, report)
    else:
        _check_ended(view, report)


def _check_open(view: LedgerView, scope: Scope, report: Report) -> None:
    if not view.is_active:
        text = "it has not ended and is missing among the active ones: what it loses is not sent again"
        report.add(Invariant.ACCEPTED_IS_KEPT, view.narration_id, None, text, _REBUILD)
    _check_counts(view, report)
    _check_attempts(view, scope, report)
    _check_leases(view, scope, report)
    for item, places in _places(view):
        if len(places) != 1:
            where = " and ".join(places) or "nowhere"
            report.add(
                Invariant.COUNTS_AGREE, view.narration_id, item, f"is {where}, and must be in one place", _REBUILD
            )


def _check_counts(view: LedgerView, report: Report) -> None:
    counted = {"num_done": view.number("num_done"), "num_failed": view.number("num_failed")}
    found = {"num_done": len(view.done), "num_failed": len(view.failures)}
    for name, number in counted.items():
        if number != found[name]:
            text = f"{name} says {number}, and {found[name]} are"
            report.add(Invariant.COUNTS_AGREE, view.narration_id, None, text, _REBUILD)
    for index in sorted(view.done ^ view.takes.keys()):
        text = "has a take and is not done" if index in view.takes else "is done and has no take"
        report.add(Invariant.ONE_TAKE_EACH, view.narration_id, index, text, _REBUILD)
    for index in sorted(index for index, take in view.takes.items() if take is None):
        report.add(Invariant.ONE_TAKE_EACH, view.narration_id, index, "has a take that cannot be read", _REBUILD)


def _check_attempts(view: LedgerView, scope: Scope, report: Report) -> None:
    for item, count in sorted(view.attempts.items()):
        if not 0 <= count <= scope.max_attempts:
            text = f"was tried {count} times, and {scope.max_attempts} are allowed"
            report.add(Invariant.ATTEMPTS_ARE_BOUNDED, view.narration_id, item, text, _REPORT)
    total = sum(count for item, count in view.attempts.items() if item.isdecimal())
    if total != view.number("num_attempts"):
        text = f"num_attempts says {view.number('num_attempts')}, and its segments were tried {total} times"
        report.add(Invariant.COUNTS_AGREE, view.narration_id, None, text, _REBUILD)


def _check_leases(view: LedgerView, scope: Scope, report: Report) -> None:
    for item, ends_ms in sorted(view.leases.items()):
        over_s = (view.now_ms - ends_ms) / 1000
        if over_s > scope.sweep_s:
            text = f"has a lease that ran out {over_s:.0f} s ago"
            report.add(
                Invariant.LEASES_END, view.narration_id, item, text, "start a worker: its reconciler sends it again"
            )
        elif -over_s > scope.max_lease_s:
            text = f"has a lease that lasts {-over_s:.0f} s more"
            report.add(Invariant.LEASES_END, view.narration_id, item, text, _REBUILD)


def _places(view: LedgerView) -> Iterator[tuple[str, list[str]]]:
    """Yield each item that must be somewhere, and where it is."""
    out = {"waiting": view.waiting, "delayed": view.delayed, "leased": view.leases}

    def places_of(item: str) -> list[str]:
        return [name for name, members in out.items() if item in members]

    num_segments = view.number("num_segments")
    if view.state is State.QUEUED:
        yield "plan", places_of("plan")
    elif (plan := places_of("plan")) or not num_segments:
        yield "plan", [*plan, "accepted"] if num_segments else plan
    has_ended = 0 < num_segments <= len(view.done) + len(view.failures)
    if (assembly := places_of("assemble")) or has_ended:
        yield "assemble", assembly
    cursor = view.number("cursor")
    known = {int(item) for members in (*out.values(), view.reopened) for item in members if item.isdecimal()}
    for index in range(max([num_segments, *(at + 1 for at in known | view.done | view.failures)])):
        places = places_of(str(index))
        places += ["done"] if index in view.done else []
        places += ["failed"] if index in view.failures else []
        places += ["reopened"] if str(index) in view.reopened else []
        places += ["not sent yet"] if cursor <= index < num_segments else []
        places += ["beyond the last segment"] if index >= num_segments and places else []
        if places or index < num_segments:
            yield str(index), places


def _check_ended(view: LedgerView, report: Report) -> None:
    narration_id = view.narration_id
    done, failed, total = (view.number(name) for name in ("num_done", "num_failed", "num_segments"))
    fits = {
        State.SUCCEEDED: total > 0 and done == total and not failed and "audio" in view.fields,
        State.PARTIAL: done > 0 and failed > 0 and done + failed == total and "audio" in view.fields,
    }.get(view.state or State.FAILED, "audio" not in view.fields)
    if not fits:
        text = f"it is {view.state} with {done} done and {failed} failed of {total}"
        text += ", with audio" if "audio" in view.fields else ", without audio"
        report.add(Invariant.ONE_END, narration_id, None, text, _REBUILD)
    if "finished_ms" not in view.fields:
        report.add(Invariant.ONE_END, narration_id, None, "it has ended and does not say when", _REBUILD)
    if view.is_active:
        text = "it has ended and is still among the active ones"
        report.add(Invariant.ONE_END, narration_id, None, text, "start a worker: its reconciler takes it out")
    if view.ttl_ms < 0:
        text = "it has ended and its record stays for ever"
        report.add(Invariant.NO_LEAKS, narration_id, None, text, "set a time to live, or delete the record")
    under_way = {
        "waiting": view.waiting,
        "delayed": view.delayed,
        "leases": view.leases,
        "reopened": view.reopened,
    }
    for name, members in under_way.items():
        for item in sorted(members):
            text = f"is in {name} although the narration has ended"
            report.add(Invariant.NO_LEAKS, narration_id, item, text, f"delete the key that ends with `:{name}`")
