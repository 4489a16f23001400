"""Which elements of a book are not read aloud: notes, page numbers, tables of contents. Knows nothing of layout."""

from __future__ import annotations

import re
from typing import Final

from producer.documents.markup.events import Attributes

#: What has nothing to say, or says it in another way than by text.
_ELEMENTS: Final = frozenset(
    {
        "annotation",
        "annotation-xml",
        "audio",
        "canvas",
        "head",
        "iframe",
        "nav",
        "noscript",
        "object",
        "rp",  # ruby: how to say the base text, which is said once
        "rt",
        "rtc",
        "script",
        "style",
        "svg",
        "template",
        "video",
        # Of DTBook, EPUB 2's second format.
        "annoref",
        "note",
        "noteref",
        "pagenum",
    }
)
#: Words of `epub:type`.
_TYPES: Final = frozenset(
    {
        "annoref",
        "backlink",
        "endnote",
        "endnotes",
        "footnote",
        "footnotes",
        "index",
        "landmarks",
        "loi",
        "lot",
        "noteref",
        "page-list",
        "pagebreak",
        "rearnote",
        "rearnotes",
        "referrer",
        "toc",
    }
)
#: The same as words of `role`.
_ROLES: Final = frozenset(
    {
        "doc-backlink",
        "doc-endnote",
        "doc-endnotes",
        "doc-footnote",
        "doc-index",
        "doc-noteref",
        "doc-pagebreak",
        "doc-pagelist",
        "doc-toc",
    }
)
#: The same as classes of books that have nothing better, as those of Project Gutenberg, Pandoc and Sphinx.
_CLASSES: Final = frozenset(
    {
        "endnote",
        "endnotes",
        "fn-backref",
        "fnanchor",
        "footnote",
        "footnote-back",
        "footnote-ref",
        "footnote-reference",
        "footnotes",
        "noteref",
        "pagebreak",
        "pagenum",
        "pageno",
        "pagenumber",
        "page-number",
    }
)
_INVISIBLE: Final = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)

#: A link's text that is the number of a note: `12`, `[3]`, `*`.
_NOTE_MARK: Final = re.compile(r"\s*[\[(]?(?:\d{1,4}[a-z]?|[*\u2020\u2021\u00a7\u00b6]{1,3})[\])]?\s*")


def is_left_out(name: str, attributes: Attributes) -> bool:
    """Say whether an element is not read, with all that is in it."""
    types = frozenset(attributes.get("epub:type", "").lower().split())
    if name in _ELEMENTS or types & _TYPES:
        return True
    if name == "aside" and not types:
        return True  # one that says what it is and is no note, as an epigraph, is read
    if not attributes:
        return False
    return bool(
        _ROLES.intersection(attributes.get("role", "").lower().split())
        or _CLASSES.intersection(attributes.get("class", "").lower().split())
        or "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or _INVISIBLE.search(attributes.get("style", ""))
    )


def is_note_mark(text: str, *, is_raised: bool) -> bool:
    """Say whether the text of a link into a page is the number of a note: raised, or in brackets."""
    return _NOTE_MARK.fullmatch(text) is not None and (is_raised or text.strip()[0] in "[(*\u2020\u2021")
