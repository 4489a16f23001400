"""The three Celery tasks: decode the message, call the use case, map what it raises to what becomes of the message.

Knows nothing of what the work is; retries and failures are the ledger's (`worker.narration.attempt`).
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.exceptions import Reject

from producer.contract.errors import MalformedMessageError, QueueUnavailableError, StorageUnavailableError
from producer.contract.keys import is_id
from producer.contract.routing import ASSEMBLE_TASK, PLAN_TASK, SYNTHESIZE_TASK
from worker import runtime
from worker.errors import DrainingError
from worker.intake import is_index
from worker.runtime import Runtime

logger = logging.getLogger(__name__)


def register(app: Celery) -> None:
    """Give an app the tasks: this one and no other, as the process has a second app that only sends."""

    @app.task(name=PLAN_TASK, bind=True, shared=False, typing=False)  # type: ignore[untyped-decorator]
    def plan(task: Any, *_: Any, **fields: Any) -> None:
        _handle(task, fields, lambda process: process.planner.run(narration_id_of(fields)))

    @app.task(name=SYNTHESIZE_TASK, bind=True, shared=False, typing=False)  # type: ignore[untyped-decorator]
    def synthesize(task: Any, *_: Any, **fields: Any) -> None:
        _handle(task, fields, lambda process: process.synthesizer.run(narration_id_of(fields), index_of(fields)))

    @app.task(name=ASSEMBLE_TASK, bind=True, shared=False, typing=False)  # type: ignore[untyped-decorator]
    def assemble(task: Any, *_: Any, **fields: Any) -> None:
        _handle(task, fields, lambda process: process.assembler.run(narration_id_of(fields)))


def narration_id_of(fields: dict[str, Any]) -> str:
    """Return the narration that a message is about.

    Raises:
        MalformedMessageError: it names none; messages can be made by hand.
    """
    narration_id = fields.get("narration_id")
    if not isinstance(narration_id, str) or not is_id(narration_id):
        raise MalformedMessageError("a message", "it holds no narration id")
    return narration_id


def index_of(fields: dict[str, Any]) -> int:
    """Return the segment that a message is about.

    Raises:
        MalformedMessageError: it names none.
    """
    item = fields.get("item")
    if not is_index(item):
        raise MalformedMessageError("a message", "it holds no segment index")
    return int(item)


def _handle(task: Any, fields: dict[str, Any], run: Callable[[Runtime], None]) -> None:
    process = runtime.current()
    properties = task.request.properties or {}
    with process.book.delivered(properties.get("delivery_tag")):
        try:
            run(process)
        except DrainingError:
            # The item is free again; its message goes back too, so that the next worker has it at once.
            raise Reject("draining", requeue=True) from None
        except MalformedMessageError as error:
            logger.warning("message_dropped", extra={"task": task.name, "reason": str(error)})
        except (QueueUnavailableError, StorageUnavailableError) as error:
            # Nothing is held; the item stays waiting and the reconciler sends it again when the service is back.
            logger.warning("item_put_off", extra={**_ids(fields), "code": error.code, "reason": str(error)})
        except BaseException as error:  # whatever it is, the message is dealt with and the slot is free
            where = "".join(traceback.format_tb(error.__traceback__)[-4:])
            logger.exception("task_failed", exc_info=False, extra={"error": type(error).__name__, "where": where})


def _ids(fields: dict[str, Any]) -> dict[str, str]:
    return {name: str(fields[name]) for name in ("narration_id", "item") if name in fields}
