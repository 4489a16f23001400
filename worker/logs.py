"""Log lines of one event and its fields: `2026-11-22T14:02:11.052Z INFO take_finished narration_id=... attempt=1`.

Knows nothing of who logs. Fields are whatever is passed as `extra`; text, audio and secrets never are.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

#: What every record has by itself; everything else came with `extra`.
_OWN_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "data"}

#: Celery's line for every message received and every task done says less than our own events.
_CHATTY: Final = ("celery.worker.strategy", "celery.app.trace")


class EventFormatter(logging.Formatter):
    """Formats a record as `time LEVEL event key=value ...` on one line, a traceback on the lines after it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = [f"{name}={_value(value)}" for name, value in vars(record).items() if name not in _OWN_ATTRIBUTES]
        lines = [" ".join([at, record.levelname, record.getMessage(), *fields])]
        if record.exc_info:
            lines.append(self.formatException(record.exc_info))
        return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, (bool, int, float)) or value is None:
        return json.dumps(value)
    text = str(value)
    # Quoted when it would not read as one word; JSON also makes line breaks and escape sequences harmless.
    return text if text and text.isprintable() and not set(text) & set(' "=\\') else json.dumps(text)


def configure_logging(level: str) -> None:
    """Send all records of this process to standard error in our format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
