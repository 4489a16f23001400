from __future__ import annotations

from dataclasses import replace

from worker.engine.protocol import EngineHealth
from worker.engine.remote.reports import SILENT_AFTER_S, Reports

BUSY = EngineHealth(is_ready=True, num_in_flight=3, num_finished=1, stalled_s=0.5)


def test_a_report_is_of_now_until_the_next_is_overdue() -> None:
    now_s = [100.0]
    reports = Reports(lambda: now_s[0])
    reports.put(BUSY)
    now_s[0] += SILENT_AFTER_S
    assert reports.last() == (BUSY, 0.0)
    now_s[0] += 1
    assert reports.last() == (BUSY, SILENT_AFTER_S + 1)
    reports.put(replace(BUSY, stalled_s=0.0))
    assert reports.last() == (replace(BUSY, stalled_s=0.0), 0.0)
