"""A book of 2,000,000 characters, read as EPUB, as Markdown and as plain text: `python -m bench.documents`.

The text is the example chapter, over and over. Time: CPU of one core, the best of a few. Memory: what Python allocates
at most, the text itself included, in a run of its own, as counting slows.
"""

from __future__ import annotations

import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from bench.record import ROOT, write_result
from examples.epub_file import Book, Page, write_epub
from producer.documents import read_document

CHAPTER = ROOT / "examples" / "texts" / "the-lamp-at-hollow-point.txt"
NUM_CHARS = 2_000_000
REPEATS = 3


def main() -> None:
    """Measure, print and record."""
    paragraphs = CHAPTER.read_text("utf-8").strip().split("\n\n")
    chapter_chars = sum(len(paragraph) + 2 for paragraph in paragraphs) + len("# Chapter 1000\n\n")
    num_chapters = NUM_CHARS // chapter_chars
    with tempfile.TemporaryDirectory() as folder:
        formats: dict[str, Callable[[Path], None]] = {
            "book.epub": lambda path: write_epub(_book(paragraphs, num_chapters), path),
            "book.md": lambda path: _write_text(path, paragraphs, num_chapters, heading="# Chapter {}\n\n"),
            "book.txt": lambda path: _write_text(path, paragraphs, num_chapters, heading="Chapter {}\n\n"),
        }
        figures = {}
        for name, write in formats.items():
            write(Path(folder) / name)
            figures[Path(name).suffix[1:]] = measure(Path(folder) / name)
    path = write_result("documents", {"command": "python -m bench.documents", "formats": figures})
    said = "; ".join(
        f"{name} {figure['cpu_s']} s, {figure['mchars_per_s']} MB/s, {figure['peak_mib']} MiB"
        for name, figure in figures.items()
    )
    sys.stdout.write(f"{NUM_CHARS} characters: {said}. {path}\n")


def measure(path: Path) -> dict[str, Any]:
    """Return what reading a file takes."""
    spent_s = []
    for _ in range(REPEATS):
        begun_s = time.process_time()
        document = read_document(path)
        spent_s.append(time.process_time() - begun_s)
    tracemalloc.start()
    read_document(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    num_chars = len(document.text)
    return {
        "file_bytes": path.stat().st_size,
        "num_chapters": len(document.chapters),
        "num_chars": num_chars,
        "cpu_s": round(min(spent_s), 2),
        "mchars_per_s": round(num_chars / min(spent_s) / 1e6, 2),
        "peak_mib": round(peak_bytes / 2**20, 1),
    }


def _book(paragraphs: list[str], num_chapters: int) -> Book:
    body = "\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
    pages = [Page(f"Chapter {number}", f"<h1>Chapter {number}</h1>\n{body}") for number in range(1, num_chapters + 1)]
    return Book("A Long Book", "Nobody", "en", b"", pages)


def _write_text(path: Path, paragraphs: list[str], num_chapters: int, *, heading: str) -> None:
    chapters = [heading.format(number) + "\n\n".join(paragraphs) for number in range(1, num_chapters + 1)]
    path.write_text("\n\n".join(chapters), "utf-8")


if __name__ == "__main__":
    main()
