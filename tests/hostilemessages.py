"""Messages that somebody else than a producer of ours may put into a queue, each with what has to become of it."""

from __future__ import annotations

import base64
import json
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from producer.contract.routing import ASSEMBLE_QUEUE, PLAN_QUEUE, PLAN_TASK, Priority, synthesize_queue
from worker.intake import MAX_MESSAGE_BYTES, Refusal

SEGMENTS = synthesize_queue(Priority.NORMAL)
NOBODY = "b" * 26

#: What an envelope of Celery's may hold beside what we read, each with a value that would do harm if it were read.
NOISE_HEADERS: dict[str, Any] = {
    "eta": "tomorrow, or so",
    "expires": "2001-01-01T00:00:00",
    "retries": "x",
    "timelimit": [0.001, 0.001],
    "group": "g",
    "group_index": "seven",
    "root_id": 7,
    "parent_id": ["p"],
    "shadow": "\x1b[31mred",
    "origin": "elsewhere",
    "ignore_result": False,
    "replaced_task_nesting": -1,
    "stamped_headers": ["a"],
    "stamps": {"a": ["b"]},
    "compression": "no such thing",
}
NOISE_PROPERTIES: dict[str, Any] = {
    "correlation_id": ["no", "text"],
    "reply_to": "somebody",
    "priority": 10**9,
    "delivery_mode": "x",
    "delivery_info": {"exchange": "amq.fanout", "routing_key": "unacked"},
    "delivery_tag": 7,
    "body_encoding": "rot13",
}
#: The third part of a body: what to call when the task is done.
CALLBACKS = {
    "callbacks": [{"task": "os.system", "args": ["true"]}],
    "errbacks": [{"task": "os.system", "args": ["true"]}],
    "chain": [{"task": "narration.assemble", "kwargs": {"narration_id": NOBODY}}],
    "chord": {"task": "celery.accumulate"},
}


def body_of(call: Any) -> str:
    return base64.b64encode(json.dumps(call).encode()).decode()


def envelope(**changes: Any) -> dict[str, Any]:
    """Return a good message to plan a narration that does not exist, with some parts exchanged; None: left out."""
    good = {
        "body": body_of([[], {"narration_id": NOBODY}, {}]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": PLAN_TASK, "id": "an id", "lang": "py", "sent_ms": 1},
        "properties": {"delivery_tag": "tag", "delivery_info": {"exchange": "", "routing_key": PLAN_QUEUE}},
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def message(**changes: Any) -> bytes:
    return json.dumps(envelope(**changes)).encode()


def call(*positional: Any, **named: Any) -> bytes:
    """Return a message with these arguments."""
    return message(body=body_of([list(positional), named, {}]))


def headers(**changes: Any) -> dict[str, Any]:
    kept = {**envelope()["headers"], **changes}
    return {name: value for name, value in kept.items() if value is not None}


def noisy(narration_id: str) -> bytes:
    """Return a message that asks for a narration's plan, and for much else that no worker may do."""
    return message(
        body=body_of([[], {"narration_id": narration_id}, CALLBACKS]),
        headers={**headers(), **NOISE_HEADERS},
        properties=NOISE_PROPERTIES,
        **{"content-encoding": "no such encoding"},
    )


class _Canary:
    """Unpickling one makes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mknod, (str(self._path),)


def pickled(canary: Path, content_type: str = "application/x-python-serialize") -> bytes:
    """Return a message that makes a file when it is unpickled."""
    body = base64.b64encode(pickle.dumps(_Canary(canary))).decode()
    properties = {**envelope()["properties"], "body_encoding": "base64"}
    return message(body=body, properties=properties, **{"content-type": content_type, "content-encoding": "binary"})


@dataclass(frozen=True)
class Hostile:
    """A message, the queue that it is put into, and why it has to be refused; None: it is taken, and asks in vain."""

    raw: bytes
    refusal: Refusal | None
    queue: str = PLAN_QUEUE


HOSTILE: dict[str, Hostile] = {
    "a word": Hostile(b"hello", Refusal.NOT_JSON),
    "nothing": Hostile(b"", Refusal.NOT_JSON),
    "no UTF-8": Hostile(b'{"body": "\xff\xfe"}', Refusal.NOT_JSON),
    "cut JSON": Hostile(message()[:-40], Refusal.NOT_JSON),
    "zeros": Hostile(bytes(100), Refusal.NOT_JSON),
    "deep nesting": Hostile(b"[" * 8_000, Refusal.NOT_JSON),
    "deeper nesting": Hostile(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, Refusal.TOO_LARGE),
    "just too large": Hostile(message(headers=headers(pad="x" * MAX_MESSAGE_BYTES)), Refusal.TOO_LARGE),
    "huge": Hostile(b'"' + b"x" * 16_000_000 + b'"', Refusal.TOO_LARGE),
    "a number": Hostile(b"42", Refusal.ENVELOPE),
    "a list": Hostile(b"[]", Refusal.ENVELOPE),
    "null": Hostile(b"null", Refusal.ENVELOPE),
    "an empty object": Hostile(b"{}", Refusal.ENVELOPE),
    "no headers": Hostile(message(headers=None), Refusal.ENVELOPE),
    "headers that are a list": Hostile(message(headers=["task"]), Refusal.ENVELOPE),
    "no properties": Hostile(message(properties=None), Refusal.ENVELOPE),
    "an old protocol": Hostile(b'{"task": "narration.plan", "id": "x", "args": [], "kwargs": {}}', Refusal.ENVELOPE),
    "no content type": Hostile(message(**{"content-type": None}), Refusal.CONTENT_TYPE),
    "YAML": Hostile(message(**{"content-type": "application/x-yaml"}), Refusal.CONTENT_TYPE),
    "an unknown task": Hostile(message(headers=headers(task="os.system")), Refusal.TASK),
    "a task that is no name": Hostile(message(headers=headers(task=["narration.plan"])), Refusal.TASK),
    "a task of another queue": Hostile(message(), Refusal.TASK, ASSEMBLE_QUEUE),
    "a task of Celery's": Hostile(message(headers=headers(task="celery.backend_cleanup")), Refusal.TASK),
    "no stamp": Hostile(message(headers=headers(sent_ms=None)), Refusal.STAMP),
    "a stamp that is no number": Hostile(message(headers=headers(sent_ms="soon")), Refusal.STAMP),
    "a stamp that is true": Hostile(message(headers=headers(sent_ms=True)), Refusal.STAMP),
    "a stamp before 1970": Hostile(message(headers=headers(sent_ms=-1)), Refusal.STAMP),
    "an endless stamp": Hostile(message(headers=headers(sent_ms=float("inf"))), Refusal.STAMP),
    "no body": Hostile(message(body=None), Refusal.BODY),
    "a body that is no base64": Hostile(message(body="%%%%"), Refusal.BODY),
    "a body that is no JSON": Hostile(message(body=base64.b64encode(b"hello").decode()), Refusal.BODY),
    "a body that is a list": Hostile(message(body=body_of([])), Refusal.BODY),
    "a body that is a number": Hostile(message(body=7), Refusal.BODY),
    "a body of wrong parts": Hostile(message(body=body_of([{}, [], None])), Refusal.BODY),
    "a deep body": Hostile(message(body=base64.b64encode(b"[" * 5_000).decode()), Refusal.BODY),
    "positional arguments": Hostile(call(NOBODY), Refusal.ARGUMENTS),
    "no arguments": Hostile(call(), Refusal.ARGUMENTS),
    "an argument more": Hostile(call(narration_id=NOBODY, voice="austen"), Refusal.ARGUMENTS),
    "an id that is a number": Hostile(call(narration_id=7), Refusal.ARGUMENTS),
    "an id that is a path": Hostile(call(narration_id="../../other-tenant/secrets"), Refusal.ARGUMENTS),
    "an id that is a key": Hostile(call(narration_id=f"{NOBODY}:done"), Refusal.ARGUMENTS),
    "a segment without index": Hostile(
        message(headers=headers(task="narration.synthesize")), Refusal.ARGUMENTS, SEGMENTS
    ),
    "a segment before the first": Hostile(
        message(
            headers=headers(task="narration.synthesize"),
            body=body_of([[], {"narration_id": NOBODY, "item": "-1"}, {}]),
        ),
        Refusal.ARGUMENTS,
        SEGMENTS,
    ),
    "a plan in the place of a segment": Hostile(
        message(
            headers=headers(task="narration.synthesize"),
            body=body_of([[], {"narration_id": NOBODY, "item": "plan"}, {}]),
        ),
        Refusal.ARGUMENTS,
        SEGMENTS,
    ),
    "no narration has the id": Hostile(message(), None),
    "no narration has the id, and much noise": Hostile(noisy(NOBODY), None),
    "no narration has the segment": Hostile(
        message(
            headers=headers(task="narration.synthesize"),
            body=body_of([[], {"narration_id": NOBODY, "item": "3"}, {}]),
        ),
        None,
        SEGMENTS,
    ),
}
