"""A chaos run that is broken off, and limits in seconds on a machine that is busy with other things."""

from __future__ import annotations

import json

import pytest

from bench import record as bench_record
from bench.chaos import play as chaos
from bench.chaos.outcome import Outcome
from bench.chaos.record import Record
from bench.chaos.slowness import MOST, slowness


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_record, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(bench_record, "ROOT", tmp_path)
    return tmp_path / "results"


def test_what_was_played_before_a_run_was_broken_off_is_in_its_result(results):
    record = Record("7", "", 3, is_short=False)
    outcomes = [Outcome("1", "kill"), Outcome("2", "kill more", violations=["P8 recovery"])]
    for number in (1, 2):
        record.write(outcomes[:number])
    found = json.loads((results / "chaos-7.json").read_text())
    assert [row["row"] for row in found["rows"]] == ["1", "2"]
    assert (found["is_whole"], found["num_violations"]) == (False, 1)
    assert found["command"] == "make chaos SEED=7"


def test_a_part_and_the_baseline_do_not_overwrite_the_whole(results):
    Record("7", "2,15", 1, is_short=False).write([Outcome("2", "kill")])
    Record("7", "", 1, is_short=False, baseline="celery").write([Outcome("2", "kill")])
    assert {path.name for path in results.iterdir()} == {"chaos-7-part.json", "chaos-celery-7.json"}
    baseline = json.loads((results / "chaos-celery-7.json").read_text())
    assert baseline["command"] == "make chaos BASELINE=celery SEED=7"
    assert baseline["is_whole"]
    assert "num_violations" not in baseline


def test_whoever_plays_is_told_after_each_row(monkeypatch):
    class Broken:
        """A row that cannot even begin."""

        number, fault, needs_own_servers = "x", "a fault", True

    def no_servers(*_: object):
        raise OSError("no port is free")

    monkeypatch.setattr(chaos, "_servers_of", no_servers)
    seen: list[list[str]] = []
    outcomes = chaos.play([Broken(), Broken()], "1", None, lambda so_far: seen.append([o.row for o in so_far]))  # type: ignore[list-item,arg-type]
    assert seen == [["x"], ["x", "x"]]
    assert all(outcome.violations == ["OSError: no port is free"] for outcome in outcomes)


@pytest.mark.parametrize(("load", "factor"), [(0.0, 1.0), (2.0, 1.0), (5.0, 2.5), (100.0, MOST)])
def test_a_wait_is_stretched_by_how_many_want_a_core(load, factor):
    assert slowness(load, 2) == factor
