from __future__ import annotations

import logging

from worker.logs import EventFormatter


def line_of(**fields) -> str:
    record = logging.makeLogRecord({"msg": "take_finished", "levelname": "INFO", "created": 0.0, **fields})
    return EventFormatter().format(record)


def test_a_record_is_one_line_of_event_and_fields():
    line = line_of(narration_id="abc", attempt=1, is_reused=False, audio_s=1.5)
    assert line == (
        "1970-01-01T00:00:00.000Z INFO take_finished narration_id=abc attempt=1 is_reused=false audio_s=1.5"
    )


def test_a_field_cannot_break_the_line_or_the_terminal():
    line = line_of(reason='two words\n"and" \x1b[31mmore')
    assert "\n" not in line
    assert "\x1b" not in line
    assert line.endswith('reason="two words\\n\\"and\\" \\u001b[31mmore"')


def test_an_empty_field_is_still_a_field():
    assert line_of(reason="").endswith('reason=""')


def test_a_traceback_follows_on_its_own_lines():
    try:
        raise ValueError("x")
    except ValueError as error:
        line = line_of(exc_info=(type(error), error, error.__traceback__))
    assert line.splitlines()[1] == "Traceback (most recent call last):"
