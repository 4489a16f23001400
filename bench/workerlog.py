"""What workers wrote into their log, as events with times and fields.

Knows the format (`worker.logs`) and no event in particular.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

_LINE: Final = re.compile(r"(?P<time>\d{4}-\d\d-\d\dT\S+Z) (?P<level>[A-Z]+) (?P<name>\w+)(?P<fields> .*)?")
_FIELD: Final = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One line of a log."""

    #: Seconds since the epoch.
    at_s: float
    level: str
    name: str
    fields: dict[str, Any]


def read_events(path: Path) -> Iterator[LogEvent]:
    """Yield the events of a log in the order of its lines; lines of another format are passed over."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if found := _LINE.match(line):
                fields = {name: _value(raw) for name, raw in _FIELD.findall(found["fields"] or "")}
                yield LogEvent(datetime.fromisoformat(found["time"]).timestamp(), found["level"], found["name"], fields)


def _value(raw: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError:  # a word without quotes
        return raw
