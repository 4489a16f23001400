"""XML as events, from files that nobody vouches for. Knows nothing of books.

XHTML of an EPUB is XML by rule, and expat reads it: in linear time, with line numbers. A document that declares an
entity of its own is refused, and nothing outside of it is ever fetched, so neither kind of entity attack begins. What
is not well-formed is for `read_html`.

defusedxml would refuse the same, but its last release is of 2021, and what it adds to expat are the handlers below.
"""

from __future__ import annotations

import re
from html.entities import html5
from typing import Final
from xml.parsers import expat

from producer.documents.markup.events import MAX_DEPTH, Attributes, Events, local_name
from producer.documents.refusal import RefusedError


class NotWellFormedError(Exception):
    """What was taken for XML is none; nothing can be said of what its reader has taken in."""


def read_xml(data: bytes, events: Events) -> None:
    """Tell the events of an XML document.

    Raises:
        NotWellFormedError: it is not well-formed.
        RefusedError: `markup_entities`, or what the events raise.
    """
    parser = expat.ParserCreate()
    _XmlHandlers(parser, events)
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError):  # the last two: an encoding that does not exist
        raise NotWellFormedError from None


class _XmlHandlers:
    def __init__(self, parser: expat.XMLParserType, events: Events) -> None:
        self._parser = parser
        self._events = events
        self._depth = 0
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.EntityDeclHandler = self._refuse_entity
        # Without this `&nbsp;` is an error in a document that names no DTD; with it, it is skipped, which we hear of.
        # The DTD itself is not fetched: that would need a handler for external entities, and there is none.
        parser.UseForeignDTD(True)
        parser.SkippedEntityHandler = self._skipped

    def _start(self, name: str, attributes: Attributes) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NotWellFormedError  # or 500 times `<br>` without an end, which is HTML; its reader decides
        self._events.start(local_name(name), attributes, self._parser.CurrentLineNumber)

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._events.end(local_name(name))

    def _text(self, text: str) -> None:
        self._events.text(text, self._parser.CurrentLineNumber)

    def _skipped(self, name: str, is_parameter: bool) -> None:
        if not is_parameter:
            self._text(html5.get(f"{name};", ""))

    def _refuse_entity(self, *_: object) -> None:
        raise RefusedError("markup_entities", "declares entities of its own, which is how XML bombs are built")


#: Encodings that a document may name; not every codec of Python is one of text, and some take very long.
_ENCODINGS: Final = re.compile(
    r"utf-?(?:8|16(?:le|be)?)|us-ascii|iso-?8859-?\d{1,2}|latin-?\d|(?:windows|cp)-?125\d|koi8-[ru]"
    r"|shift[-_]jis|sjis|euc-(?:jp|kr)|gb(?:2312|k|18030)|big5",
    re.IGNORECASE,
)
_DECLARED: Final = re.compile(rb"""(?:encoding|charset)\s*=\s*["']?([\w-]{1,40})""", re.IGNORECASE)
#: How far into a file its encoding may be declared.
_HEAD_BYTES: Final = 1_024


def decoded(data: bytes) -> str:
    """Return a markup file as text: by its byte order mark, as UTF-8, or as it declares.

    Raises:
        RefusedError: `text_encoding`.
    """
    declared = _DECLARED.search(data[:_HEAD_BYTES])
    names = ["utf-16"] if data.startswith((b"\xff\xfe", b"\xfe\xff")) else ["utf-8-sig"]
    if declared and _ENCODINGS.fullmatch(declared[1].decode()):
        names.append(declared[1].decode())
    for name in names:
        try:
            return data.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
    raise RefusedError("text_encoding", "holds a chapter that is neither UTF-8 nor what it says it is")
