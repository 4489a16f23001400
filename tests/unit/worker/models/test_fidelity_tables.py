"""The tables of docs/bnb-quantization.md are those that the result files give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from worker.models.compare import table
from worker.models.comparison import Report

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize("name", ["fidelity_small_t3", "fidelity_full_random"])
def test_the_table_in_the_docs_is_that_of_the_result_file(name: str) -> None:
    found = json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    reports = [Report(**report) for report in found["reports"]]
    assert table(reports) in (ROOT / "docs" / "bnb-quantization.md").read_text(encoding="utf-8")
