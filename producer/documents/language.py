"""Language tags as books write them, as our codes. Knows nothing of texts."""

from __future__ import annotations

from typing import Final

from producer.contract.languages import LANGUAGES

#: What older books write (ISO 639-2, both kinds), and written forms of Norwegian.
_OTHER_TAGS: Final = {
    "ara": "ar",
    "dan": "da",
    "deu": "de",
    "ell": "el",
    "eng": "en",
    "fin": "fi",
    "fra": "fr",
    "fre": "fr",
    "ger": "de",
    "gre": "el",
    "heb": "he",
    "hin": "hi",
    "ita": "it",
    "iw": "he",
    "jpn": "ja",
    "kor": "ko",
    "may": "ms",
    "msa": "ms",
    "nb": "no",
    "nld": "nl",
    "nn": "no",
    "nno": "no",
    "nob": "no",
    "nor": "no",
    "dut": "nl",
    "chi": "zh",
    "pol": "pl",
    "por": "pt",
    "rus": "ru",
    "spa": "es",
    "swa": "sw",
    "swe": "sv",
    "tur": "tr",
    "zho": "zh",
}


def language_of(tag: str | None) -> str | None:
    """Return our code for a tag such as `en-US`, `EN` or `eng`; None if it is none of our languages."""
    primary = (tag or "").strip().lower().replace("_", "-").partition("-")[0]
    code = _OTHER_TAGS.get(primary, primary)
    return code if code in LANGUAGES else None
