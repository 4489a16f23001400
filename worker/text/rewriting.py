"""From what is written to what is said: the dictionary first, then figures. Knows nothing of segments."""

from __future__ import annotations

from collections.abc import Sequence

from producer.contract.dictionary import Rule
from producer.contract.narration import is_speakable
from worker.errors import NothingToSayError
from worker.text.clean import CleanText
from worker.text.normalize import normalize as normalized
from worker.text.pronounce import pronounce


def rewrite(cleaned: CleanText, rules: Sequence[Rule], *, language: str, normalize: bool) -> CleanText:
    """Return a text as it is said, with the way back to the original's positions and with its marks.

    The dictionary comes first: whoever has a rule for "24/7" does not want to hear "twenty-four sevenths".

    Args:
        cleaned: the text.
        rules: of the pronunciation dictionary, in order; empty: none.
        language: one of our codes.
        normalize: whether figures become words.

    Raises:
        NothingToSayError: no letter and no digit is left, of marks alone or after the rules.
        DictionaryTooSlowError, DictionaryLimitError, DictionaryRegexError: as `pronounce`.
    """
    if not is_speakable(cleaned.text):
        raise NothingToSayError("its marks are taken out")
    said = pronounce(cleaned, rules) if rules else cleaned
    if normalize:
        said = normalized(said, language)
    if not is_speakable(said.text):
        raise NothingToSayError("the rules of its pronunciation dictionary")
    return said
