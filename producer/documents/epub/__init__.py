"""An EPUB 2 or 3 file, read into a document without being unpacked. Knows nothing of other formats."""

from __future__ import annotations

from producer.documents.epub.book import read_epub

__all__ = ["read_epub"]
