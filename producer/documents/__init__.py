"""Books and other documents, read into chapters of plain text: EPUB, Markdown, plain text. Knows no narration."""

from __future__ import annotations

from producer.documents.document import Chapter, Document, Origin
from producer.documents.estimate import Estimate, estimate
from producer.documents.reading import read_document

__all__ = ["Chapter", "Document", "Estimate", "Origin", "estimate", "read_document"]
