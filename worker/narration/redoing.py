"""Which segments of a plan are spoken once more, and with which words. Knows nothing of how a text is split."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from producer.contract.errors import NotFoundError
from producer.contract.narration import NarrationRequest, Redo, is_speakable
from producer.contract.plan import Plan, Segment
from worker.errors import RedoImpossibleError
from worker.narration.ports import Store
from worker.narration.records import read_plan
from worker.text.clean import clean, spoken
from worker.text.measure import MAX_SEGMENT_UNITS, units
from worker.text.split import Rewrite

logger = logging.getLogger(__name__)


def plan_before(store: Store, request: NarrationRequest) -> Plan | None:
    """Return the plan of the narration that is done again, for this one; None if there is none any more.

    It is taken as it is, so that a segment's number means what it meant when somebody chose it, whatever has changed
    in how texts are split.

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


def redone(plan: Plan, redos: Mapping[int, Redo], rewrite: Rewrite) -> Plan:
    """Return the plan with these segments given another take, and other words where those are handed in.

    Args:
        plan: of the text as it was split.
        redos: segment -> how it is spoken once more.
        rewrite: what the text went through; other words go through it too.

    Raises:
        RedoImpossibleError: there is no such segment, or its words cannot be spoken at once.
        RewritingError: as `rewrite`.
    """
    if missing := sorted(set(redos) - set(range(len(plan.segments)))):
        raise RedoImpossibleError(missing[0], f"the narration has {len(plan.segments)} segments")
    segments = list(plan.segments)
    for index, redo in redos.items():
        segments[index] = _redone(segments[index], redo, rewrite)
    return plan.model_copy(update={"segments": tuple(segments)})


def _redone(segment: Segment, redo: Redo, rewrite: Rewrite) -> Segment:
    if redo.text is None:
        return segment.model_copy(update={"take": redo.take})
    cleaned = clean(redo.text)
    if not is_speakable(cleaned.text):
        raise RedoImpossibleError(segment.index, "its words hold no letter and no digit")
    text = spoken(rewrite(cleaned).text)
    if units(text) > MAX_SEGMENT_UNITS:
        raise RedoImpossibleError(segment.index, f"its words are longer than {MAX_SEGMENT_UNITS} letters")
    return segment.model_copy(update={"text": text, "take": redo.take})
