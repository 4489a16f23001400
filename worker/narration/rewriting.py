"""What is to be done to a narration's text before it is cut: its pinned dictionary, its figures. Knows no segments."""

from __future__ import annotations

import logging
from collections.abc import Callable

from producer.contract.dictionary import Rules
from producer.contract.keys import dictionary_rules_key
from producer.contract.narration import NarrationRequest
from worker.narration.ports import Store
from worker.text.clean import CleanText
from worker.text.rewriting import rewrite

logger = logging.getLogger(__name__)


def rewriting_of(store: Store, request: NarrationRequest) -> Callable[[CleanText], CleanText]:
    """Return the rewriting that a narration asks for; the rules are read now, those that were pinned to it.

    What is returned raises a `RewritingError` if the text cannot be rewritten, and logs how many marks were malformed.

    Raises:
        MalformedMessageError: the rules are not those that were pinned.
        ObjectNotFoundError: they are not there.
        StorageUnavailableError: S3 cannot be used.
    """
    reference = request.dictionary
    rules = Rules.decode(store.get(dictionary_rules_key(reference.sha256)), reference).rules if reference else ()

    def rewriting(cleaned: CleanText) -> CleanText:
        if cleaned.num_malformed_marks:
            fields = {"narration_id": request.id, "num_marks": cleaned.num_malformed_marks}
            logger.warning("marks_malformed", extra=fields)
        return rewrite(cleaned, rules, language=request.narration.language, normalize=request.narration.normalize)

    return rewriting
