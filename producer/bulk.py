"""Bulk files: one narration a line, as JSON, with `text` or with the path of a `text_file`.

Knows nothing of services; it turns a file into a set of narrations with every faulty line noted.
"""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, NoReturn

from producer.contract.errors import UnreadableInputError
from producer.contract.fault import Fault
from producer.contract.narration import MAX_TEXT_CHARS
from producer.narrationset import NarrationSet
from producer.textfile import STANDARD_INPUT, read_text

#: Bytes of one line: a text of the greatest length with every character escaped as `\uXXXX` twice, and some more.
MAX_LINE_BYTES: Final = 12 * MAX_TEXT_CHARS + 65_536


def read_bulk_file(path: str | Path) -> NarrationSet:
    """Return the narrations of a bulk file, or of standard input for `-`; its faults are noted in the set.

    Blank lines are skipped. The path of a `text_file` is relative to the bulk file.

    Raises:
        UnreadableInputError: if the file itself cannot be read.
    """
    narrations = NarrationSet()
    if str(path) == STANDARD_INPUT:
        _read_lines(sys.stdin.buffer, Path(), narrations)
        return narrations
    try:
        with Path(path).open("rb") as file:
            _read_lines(file, Path(path).parent, narrations)
    except FileNotFoundError:
        raise UnreadableInputError(str(path), "file_missing", "there is no such file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableInputError(str(path), "file_unreadable", f"cannot be read: {reason}") from None
    return narrations


def _read_lines(file: IO[bytes], folder: Path, narrations: NarrationSet) -> None:
    for line, raw in _numbered_lines(file):
        if len(raw) > MAX_LINE_BYTES:
            narrations.add_fault(Fault("line_too_long", "", f"is longer than {MAX_LINE_BYTES} bytes"), line=line)
            continue
        try:
            fields = _fields_of(raw, folder)
        except _LineError as error:
            narrations.add_fault(error.fault, line=line)
        else:
            narrations.add(fields, line=line)


def _numbered_lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, counted from 1; of a line that is too long, no more than its begin."""
    line = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        line += 1
        rest = raw
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE_BYTES + 1)
        if line == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        if raw.strip():
            yield line, raw


class _LineError(Exception):
    """A line that is no narration; never leaves this module."""

    def __init__(self, code: str, field: str, message: str) -> None:
        super().__init__(code, field, message)
        self.fault = Fault(code, field, message)


def _fields_of(raw: bytes, folder: Path) -> dict[str, Any]:
    """Return a line's fields, with the text of its `text_file` put in place."""
    fields = _json_object(raw)
    if "text_file" not in fields:
        return fields
    name = fields.pop("text_file")
    if "text" in fields:
        raise _LineError("text_twice", "text_file", "stands beside `text`; give one of them")
    if not isinstance(name, str) or not name:
        raise _LineError("wrong_type", "text_file", "must be the path of a file")
    try:
        return {**fields, "text": read_text(folder / name)}
    except UnreadableInputError as error:
        raise _LineError(error.code, "text_file", f"{name!r} {error.args[2]}") from None


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _LineError("text_encoding", "", f"is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}") from None
    try:
        fields = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object_without_duplicates)
    except json.JSONDecodeError as error:
        raise _LineError("json", "", f"is not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits; thousands of brackets
        raise _LineError("json", "", "is not JSON that can be read: a number or the nesting is too large") from None
    if not isinstance(fields, dict):
        raise _LineError("json_object", "", "is not a JSON object")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise _LineError("json_nonfinite", "", f"holds {name}, which is not JSON")


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _LineError("json_duplicate", twice[:100], "stands twice in one object")
    return fields
