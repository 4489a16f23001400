"""The plan of a narration that speaks some segments of another once more. Knows nothing of how takes are chosen."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from producer.contract.errors import NotFoundError
from producer.contract.narration import NarrationRequest, Redo, is_speakable
from producer.contract.plan import Plan, Segment
from worker.errors import NothingToSayError, RedoneSegmentError
from worker.narration.ports import Store
from worker.narration.records import read_plan
from worker.text import MAX_SEGMENT_UNITS
from worker.text.clean import CleanText, clean, spoken
from worker.text.measure import units

logger = logging.getLogger(__name__)


def plan_before(store: Store, request: NarrationRequest) -> Plan | None:
    """Return the plan of the narration that is done again, for this one; None if there is none any more.

    It is taken as it is, so that a segment's number means what it meant when somebody chose it, whatever has changed
    in how texts are cut.

    Raises:
        MalformedMessageError: it cannot be read.
        StorageUnavailableError: S3 cannot be used.
    """
    if request.redo_of is None:
        return None
    try:
        return read_plan(store, request.redo_of).model_copy(update={"narration_id": request.id})
    except NotFoundError:
        logger.warning("plan_gone", extra={"narration_id": request.id, "redo_of": request.redo_of})
        return None


def with_redone(plan: Plan, redone: Mapping[int, Redo], rewrite: Callable[[CleanText], CleanText]) -> Plan:
    """Return the plan with the takes that are wanted, and with what is spoken in them instead.

    Raises:
        RedoneSegmentError: there is no such segment, or its new text is longer than one segment may be.
        RewritingError: there is nothing to say in a new text, or it cannot be rewritten.
    """
    if unknown := sorted(index for index in redone if not 0 <= index < len(plan.segments)):
        raise RedoneSegmentError(unknown[0], f"there are {len(plan.segments)} segments")
    segments = list(plan.segments)
    for index, redo in redone.items():
        segments[index] = _redone(segments[index], redo, rewrite)
    return plan.model_copy(update={"segments": tuple(segments)})


def _redone(segment: Segment, redo: Redo, rewrite: Callable[[CleanText], CleanText]) -> Segment:
    if redo.text is None:
        return segment.model_copy(update={"take": redo.take})
    text = spoken(rewrite(clean(redo.text)).text)
    if not is_speakable(text):
        raise NothingToSayError("its marks are taken out")
    if units(text) > MAX_SEGMENT_UNITS:
        raise RedoneSegmentError(segment.index, "its new text takes longer to say than one segment may last")
    return segment.model_copy(update={"take": redo.take, "text": text})
