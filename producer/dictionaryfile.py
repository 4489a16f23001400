"""Reading the rules of a pronunciation dictionary from a file: JSON, or two columns as CSV or TSV.

Knows nothing of where dictionaries are kept.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from producer.contract.dictionary import MAX_RULES, Rule, Rules
from producer.contract.errors import InvalidDictionaryError, UnreadableInputError
from producer.contract.fault import Fault
from producer.contract.narration import faults_of
from producer.textfile import decode_text, read_bytes

#: Bytes of a file; a thousand rules of the longest kind take three quarters of it.
MAX_FILE_BYTES: Final = 4 * 2**20

#: A file's lines (None: not known), each with what should become a rule.
_Entries = list[tuple[int | None, object]]

#: Beside `rules`, what `chatterqueue dictionaries show --json` prints; it can be read back as it is.
_KNOWN_FIELDS: Final = frozenset({"rules", "name", "versions", "schema_version"})
_HEADER: Final = ["from", "to"]
_RULES_FIELD: Final = re.compile(r'"rules"\s*:\s*(?=\[)')
_SEPARATOR: Final = re.compile(r"[\s,]*")


def read_rules(path: str | Path) -> Rules:
    """Return the rules that a file holds; `-` is standard input.

    A file is JSON if it begins with a bracket, TSV if its first line holds a tab, else CSV.

    Raises:
        UnreadableInputError: the file cannot be read as text.
        InvalidDictionaryError: naming each fault with its line and its rule.
    """
    data = read_bytes(path, MAX_FILE_BYTES)
    if len(data) > MAX_FILE_BYTES:
        raise UnreadableInputError(str(path), "dictionary_too_large", f"is larger than {MAX_FILE_BYTES} bytes")
    return rules_of(decode_text(data, str(path)))


def rules_of(text: str) -> Rules:
    """Return the rules that a file's text holds; else as `read_rules`."""
    entries = _json_entries(text) if text.lstrip()[:1] in ("{", "[") else list(_table_entries(text))
    if not entries:
        raise InvalidDictionaryError.of([Fault("rules_missing", "rules", "there is no rule in it")])
    if len(entries) > MAX_RULES:
        sentence = f"has {len(entries)} rules, at most {MAX_RULES} fit"
        raise InvalidDictionaryError.of([Fault("too_many_rules", "rules", sentence)])
    rules, faults = _read(entries)
    if faults:
        raise InvalidDictionaryError.of(faults)
    return Rules(rules=tuple(rules))


def _read(entries: _Entries) -> tuple[list[Rule], list[Fault]]:
    rules: list[Rule] = []
    faults: list[Fault] = []
    numbers: dict[Rule, int] = {}
    for number, (line, entry) in enumerate(entries, 1):
        try:
            rule = Rule.model_validate(entry, by_name=False, by_alias=True)
        except ValidationError as error:
            for fault in faults_of(error, line=line):
                faults.append(replace(fault, field=f"rule {number} {fault.field}".rstrip()))
            continue
        rules.append(rule)
        # A second rule for the same words finds nothing any more, and somebody believes that it does.
        first = numbers.setdefault(rule.model_copy(update={"replacement": ""}), number)
        if first != number:
            faults.append(Fault("rule_repeated", f"rule {number} from", f"is what rule {first} looks for", line))
    return rules, faults


def _table_entries(text: str) -> Iterator[tuple[int | None, object]]:
    """Yield the rows of two columns, with the line on which each ends."""
    first_line = text.lstrip("\r\n").split("\n", 1)[0]
    dialect: dict[str, Any] = {"delimiter": ",", "strict": True}
    if "\t" in first_line:
        dialect = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    reader = csv.reader(io.StringIO(text, newline=""), **dialect)
    is_first = True
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if is_first and [cell.strip().lower() for cell in row] == _HEADER:
                is_first = False
                continue
            is_first = False
            if len(row) != len(_HEADER):
                sentence = f"has {len(row)} columns instead of two; put quotes around a cell that holds a comma"
                raise InvalidDictionaryError.of([Fault("row_columns", "", sentence, reader.line_num)])
            yield reader.line_num, {"from": row[0].strip(), "to": row[1].strip()}
    except csv.Error as error:
        raise InvalidDictionaryError.of([Fault("table", "", str(error), reader.line_num)]) from None


def _json_entries(text: str) -> _Entries:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidDictionaryError.of([Fault("json", "", f"is no JSON: {error.msg}", error.lineno)]) from None
    except (RecursionError, ValueError) as error:
        raise InvalidDictionaryError.of([Fault("json", "", f"is no JSON that can be read: {error}")]) from None
    if isinstance(document, dict) and (unknown := sorted(document.keys() - _KNOWN_FIELDS)):
        raise InvalidDictionaryError.of([Fault("unknown_field", name, "there is no such field") for name in unknown])
    rules = document.get("rules") if isinstance(document, dict) else document
    if not isinstance(rules, list):
        sentence = "must be a list of objects with `from` and `to`"
        raise InvalidDictionaryError.of([Fault("rules_missing", "rules", sentence)])
    lines = _lines_of(text, rules) or [None] * len(rules)
    return list(zip(lines, rules, strict=True))


def _lines_of(text: str, rules: list[object]) -> list[int | None] | None:
    """Return the line on which each rule of a JSON text begins; None if the list cannot be found again."""
    decoder = json.JSONDecoder()
    starts = [match.end() for match in _RULES_FIELD.finditer(text)] or [text.find("[")]
    for start in starts:
        lines: list[int | None] = []
        position, line, counted = start + 1, 1, 0
        for rule in rules:
            position = _end_of_separator(text, position)
            line += text.count("\n", counted, position)
            counted = position
            try:
                found, position = decoder.raw_decode(text, position)
            except json.JSONDecodeError:
                break
            if found != rule:
                break
            lines.append(line)
        if len(lines) == len(rules):
            return lines
    return None


def _end_of_separator(text: str, position: int) -> int:
    match = _SEPARATOR.match(text, position)
    return match.end() if match else position
