"""Which operations of S3 our code calls, and on what: one JSON line for each, from botocore itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from botocore.client import BaseClient

_call = BaseClient._make_api_call


def record_calls(path: Path) -> None:
    """Write every call of this process to a file from now on."""

    def call(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
        named = parameters["Delete"]["Objects"] if "Delete" in parameters else [parameters]
        with path.open("a") as file:  # one short line is one write
            for key in (each.get("Key", "") for each in named):
                file.write(json.dumps([operation, key]) + "\n")
        return _call(self, operation, parameters)

    BaseClient._make_api_call = call


def stop_recording() -> None:
    """Leave botocore as it was."""
    BaseClient._make_api_call = _call


def recorded(path: Path) -> set[tuple[str, str]]:
    """Return the operations of a file with their keys."""
    return {(operation, key) for operation, key in map(json.loads, path.read_text().splitlines())}
