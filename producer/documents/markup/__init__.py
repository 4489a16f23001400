"""XHTML and HTML of documents, from elements to paragraphs. Knows no files."""

from __future__ import annotations

from producer.documents.markup.events import Attributes, Events
from producer.documents.markup.html import read_html
from producer.documents.markup.prose import ProseReader
from producer.documents.markup.xml import NotWellFormedError, decoded, read_xml

__all__ = ["Attributes", "Events", "NotWellFormedError", "ProseReader", "decoded", "read_html", "read_xml"]
