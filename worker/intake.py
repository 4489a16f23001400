"""What a queue may hold: one kind of message, and what is made of it before Celery sees it.

Knows nothing of Redis, and nothing of whether the narration that a message names exists: that is the ledger's.
"""

from __future__ import annotations

import base64
import binascii
import json
from enum import StrEnum
from typing import Any, Final, TypeGuard

from producer.contract.keys import is_id
from producer.contract.routing import ASSEMBLE_QUEUE, ASSEMBLE_TASK, PLAN_QUEUE, PLAN_TASK, SYNTHESIZE_TASK
from producer.envelope import envelope

#: Bytes. Ours have some 700; beyond this a message is not even parsed.
MAX_MESSAGE_BYTES: Final = 8_192

#: Milliseconds since 1970 that a stamp can be: up to the year 5138, and whole numbers to every JSON reader.
_STAMPS_MS: Final = range(10**14)


class Refusal(StrEnum):
    """Why a message is put into quarantine; the words are on the wire and in logs."""

    TOO_LARGE = "message_too_large"
    NOT_JSON = "message_not_json"  #: not UTF-8, cut short, or nested deeper than a parser goes
    ENVELOPE = "message_envelope"  #: not an object with headers and properties
    CONTENT_TYPE = "message_content_type"  #: another than JSON; pickle among them
    TASK = "message_task"  #: no task of ours, or one that does not belong in this queue
    STAMP = "message_stamp"  #: not the ledger's milliseconds
    BODY = "message_body"  #: cannot be decoded, or is no call
    ARGUMENTS = "message_arguments"  #: not exactly the ids that its task takes


def admit(raw: bytes, queue: str) -> bytes | Refusal:
    """Return the message that a worker may see in place of what lay in a queue, or why there is none.

    The message is made anew of its task, its ids and its stamp. All else that an envelope can hold, which would let
    whoever wrote it choose times, limits, retries, callbacks or the key that it is given back to, is left behind.
    """
    if len(raw) > MAX_MESSAGE_BYTES:
        return Refusal.TOO_LARGE
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        return Refusal.NOT_JSON
    match parsed:
        case {"headers": {"task": task, **headers}, "properties": dict(), **fields}:
            pass
        case _:
            return Refusal.ENVELOPE
    if fields.get("content-type") != "application/json":
        return Refusal.CONTENT_TYPE
    if task != task_of(queue):
        return Refusal.TASK
    sent_ms = headers.get("sent_ms")
    if type(sent_ms) is not int or sent_ms not in _STAMPS_MS:  # a bool is an int
        return Refusal.STAMP
    call = _call_in(fields.get("body"))
    if call is None:
        return Refusal.BODY
    positional, ids = call
    if positional or not _are_ids_of(task, ids):
        return Refusal.ARGUMENTS
    return envelope(task, ids, sent_ms, queue)


def task_of(queue: str) -> str:
    """Return the one task that a queue carries."""
    return {PLAN_QUEUE: PLAN_TASK, ASSEMBLE_QUEUE: ASSEMBLE_TASK}.get(queue, SYNTHESIZE_TASK)


def is_index(item: object) -> TypeGuard[str]:
    """Say whether a value names a segment: its index in decimal digits."""
    return isinstance(item, str) and item.isascii() and item.isdecimal() and len(item) <= 9


def _call_in(body: object) -> tuple[list[Any], dict[str, Any]] | None:
    """Return a body's positional and named arguments; its third part, which names callbacks, is not looked at."""
    if not isinstance(body, str):
        return None
    try:
        call = json.loads(base64.b64decode(body, validate=True))
    except (ValueError, binascii.Error, RecursionError):
        return None
    match call:
        case [list(positional), dict(named), _]:
            return positional, named
        case _:
            return None


def _are_ids_of(task: str, ids: dict[str, Any]) -> bool:
    expected = {"narration_id", "item"} if task == SYNTHESIZE_TASK else {"narration_id"}
    narration_id = ids.get("narration_id")
    is_named = isinstance(narration_id, str) and is_id(narration_id)
    return ids.keys() == expected and is_named and ("item" not in expected or is_index(ids["item"]))
