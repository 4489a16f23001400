"""A cover fetched from S3 for a file to be written. Knows nothing of formats."""

from __future__ import annotations

import hashlib
import logging

from producer.contract.cover import examine_cover
from producer.contract.errors import InvalidCoverError
from producer.contract.keys import cover_key
from producer.storage import ObjectNotFoundError, retrying
from worker.audio.reading import READ_DEADLINE_S, SegmentSource

logger = logging.getLogger(__name__)


def cover(store: SegmentSource, sha256: str) -> bytes | None:
    """Return a cover; None, with a line in the log, if it is gone or not what its name says.

    A book without its picture is of more use than none, so this is no reason to fail.

    Raises:
        StorageUnavailableError: S3 stayed away.
    """
    try:
        data = retrying(lambda: store.get(cover_key(sha256)), deadline_s=READ_DEADLINE_S)
        examine_cover(data)
    except ObjectNotFoundError:
        reason = "gone"
    except InvalidCoverError as error:
        reason = error.faults[0].code
    else:
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
        reason = "other_content"
    logger.warning("cover_left_out", extra={"cover": sha256, "reason": reason})
    return None
