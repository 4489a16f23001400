"""`python -m bench.chaos --seed 1 [--rows 2,15] [--short] [--baseline celery]`: the fault matrix, printed and recorded.

Exit status 1 if an invariant was violated.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.chaos import matrix
from bench.chaos.outcome import Outcome, failures, table
from bench.chaos.record import Record
from bench.chaos.rows import Row
from bench.chaos.scene import Scale, playing
from bench.chaos.servers import Servers


def main(argv: Sequence[str] | None = None) -> int:
    """Play the rows that were asked for; return the exit status."""
    arguments = _arguments(sys.argv[1:] if argv is None else argv)
    if arguments.baseline:
        from bench.chaos.baseline import run as run_baseline

        return run_baseline(arguments.seed, arguments.rows, is_short=arguments.short)
    rows = matrix.chosen(arguments.rows)
    print(f"seed {arguments.seed}, rows {' '.join(row.number for row in rows)}", flush=True)
    record = Record(arguments.seed, arguments.rows, len(rows), is_short=arguments.short)
    outcomes = play(rows, arguments.seed, Scale(is_full=not arguments.short), record.write)
    print("\n".join(table(map(asdict, outcomes))))
    wrong = failures(outcomes)
    print("\n".join([*wrong, f"{len(wrong)} violations", str(record.write(outcomes))]))
    return 1 if wrong else 0


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--seed", default=str(int(time.time())), help="decides everything that is left to chance")
    parser.add_argument("--rows", default="", help="numbers of rows, with commas; all if not given")
    parser.add_argument("--short", action="store_true", help="small numbers")
    parser.add_argument("--baseline", choices=["celery"], help="play stock Celery instead")
    return parser.parse_args(argv)


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


if __name__ == "__main__":
    sys.exit(main())
