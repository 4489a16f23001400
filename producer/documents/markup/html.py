"""HTML that is no XML, as the same events. Knows nothing of books.

`html.parser` looks at an unfinished tag or comment again for each one that begins inside of it, which takes years for
a hostile file, but only in `close`. It is fed in pieces and never closed; what is unfinished at the end is an error.
"""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final

from producer.documents.markup.events import Events, check_depth, local_name
from producer.documents.refusal import RefusedError

#: Characters that are fed at a time, and that one tag or comment may have.
_PIECE_CHARS: Final = 65_536
_MAX_PENDING_CHARS: Final = 1_000_000

#: Elements without an end.
_VOID: Final = frozenset("area base br col embed hr img input link meta param source track wbr".split())  # noqa: SIM905
_CELLS: Final = frozenset({"td", "th"})
#: Element that is open -> those that end it by starting: HTML allows their end tags to be left out.
_ENDED_BY: Final = {
    "p": frozenset(
        "address article aside blockquote center details dir div dl fieldset figure footer form h1 h2 h3 h4 h5 h6 "  # noqa: SIM905
        "header hr li main menu nav ol p pre section table ul dt dd tr td th".split()
    ),
    "li": frozenset({"li"}),
    "dt": frozenset({"dt", "dd"}),
    "dd": frozenset({"dt", "dd"}),
    "td": _CELLS | {"tr"},
    "th": _CELLS | {"tr"},
    "tr": frozenset({"tr"}),
    "rt": frozenset({"rt", "rp", "rb"}),
    "rp": frozenset({"rt", "rp", "rb"}),
    "option": frozenset({"option"}),
}


def read_html(text: str, events: Events) -> None:
    """Tell the events of an HTML document, however it is written; elements that are not ended are ended.

    Raises:
        RefusedError: `markup_broken`.
    """
    parser = _HtmlHandlers(events)
    for start in range(0, len(text), _PIECE_CHARS):
        parser.feed(text[start : start + _PIECE_CHARS])
        if len(parser.rawdata) > _MAX_PENDING_CHARS:
            break
    # Makes the parser give away text that it holds back because an entity may go on.
    parser.feed("\n<br>")
    if parser.rawdata:
        line, _ = parser.getpos()
        raise RefusedError("markup_broken", f"holds a chapter with a tag or a comment without an end, in line {line}")
    parser.end_all()


class _HtmlHandlers(HTMLParser):
    def __init__(self, events: Events) -> None:
        super().__init__(convert_charrefs=True)
        self._events = events
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = local_name(tag)
        while self._open and name in _ENDED_BY.get(self._open[-1], ()):
            self._end_last()
        self._open.append(name)
        check_depth(len(self._open))
        self._events.start(name, {key: value or "" for key, value in attrs}, self.getpos()[0])
        if name in _VOID:
            self._end_last()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if local_name(tag) not in _VOID:
            self._end_last()

    def handle_endtag(self, tag: str) -> None:
        name = local_name(tag)
        if name not in self._open:
            return
        while self._open[-1] != name:
            self._end_last()
        self._end_last()

    def handle_data(self, data: str) -> None:
        self._events.text(data, self.getpos()[0])

    def unknown_decl(self, data: str) -> None:
        if data.startswith("CDATA["):
            self.handle_data(data.removeprefix("CDATA["))

    def end_all(self) -> None:
        """End what is still open."""
        while self._open:
            self._end_last()

    def _end_last(self) -> None:
        self._events.end(self._open.pop())
