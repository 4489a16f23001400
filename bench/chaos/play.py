"""Rows played one after the other, whatever becomes of each. Knows nothing of the command line."""

from __future__ import annotations

import contextlib
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.chaos.outcome import Outcome
from bench.chaos.rows import Row
from bench.chaos.scene import Scale, playing
from bench.chaos.servers import Servers


def play(
    rows: Sequence[Row], seed: str, scale: Scale, on_row: Callable[[Sequence[Outcome]], object] = lambda _: None
) -> list[Outcome]:
    """Play rows one after the other; those that damage no server share one pair.

    Args:
        rows: which.
        seed: decides what is left to chance.
        scale: how much of everything.
        on_row: called after each row with all outcomes so far.
    """
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        shared: Servers | None = None
        for row in rows:
            if not row.needs_own_servers and shared is None:
                shared = stack.enter_context(Servers(folder / "shared"))
            outcome = Outcome(row.number, row.fault)
            try:
                with _servers_of(row, shared, folder) as servers:
                    where = folder / f"row-{row.number}"
                    with playing(outcome, servers, where, seed=f"{seed}-{row.number}", scale=scale) as scene:
                        row.play(scene)
            except Exception as error:  # noqa: BLE001 - a row that breaks has failed; the others are still played
                traceback.print_exc()
                outcome.violations.append(f"{type(error).__name__}: {error}")
            outcomes.append(outcome)
            on_row(outcomes)
            verdict = "ok" if not outcome.violations else f"{len(outcome.violations)} VIOLATIONS"
            print(f"row {row.number}: {verdict} in {outcome.wall_s:g} s {outcome.figures}", flush=True)
            for violation in outcome.violations[:5]:
                print(f"    {violation[:600]}", flush=True)
    return outcomes


@contextlib.contextmanager
def _servers_of(row: Row, shared: Servers | None, folder: Path) -> Iterator[Servers]:
    if not row.needs_own_servers:
        assert shared is not None
        yield shared
        return
    with Servers(folder / f"servers-{row.number}") as servers:
        yield servers
