"""How books in 23 languages call their parts. Knows nothing of where the line stands."""

# Other alphabets are what this file is about, and a list of words reads best as one line of text.
# ruff: noqa: RUF001, SIM905

from __future__ import annotations

import re
from typing import Final

#: Words that a heading begins with, in languages that write capitals.
_CASED_WORDS: Final = (
    "chapter part book volume section act scene canto prologue epilogue preface introduction appendix "
    "kapitel teil abschnitt vorwort nachwort prolog epilog hoofdstuk deel afdeling kapittel del luku osa "
    "chapitre partie livre capítulo parte libro livro capitolo rozdział część bölüm kısım "
    "bab bahagian sura sehemu глава часть книга κεφάλαιο μέρος"
).split()
_UNCASED_WORDS: Final = "الفصل الجزء פרק חלק अध्याय भाग".split()

_WORDS: Final = "|".join([*(form for word in _CASED_WORDS for form in (word.title(), word.upper())), *_UNCASED_WORDS])
#: 3, IV, or a number in words with a capital, as in "Part Two".
_NUMBER: Final = r"(?:\d+|[IVXLCDM]+|[ivxlcdm]+|[A-ZÀ-ÞΑ-ΩА-Я][^\W\d_]*)"
_TITLE: Final = r"[ \t]*[.:–—-][ \t]*.*"
#: A title needs a number in front of it, or any line that begins with "Part. " would be a heading.
_ALPHABETIC: Final = rf"(?:{_WORDS})(?:[ \t]+(?:{_NUMBER}(?:{_TITLE})?|[^\W\d_]+[.:]?))?[.:]?"
_CHINESE: Final = r"第[ \t]*[\d一二三四五六七八九十百千零〇两]+[ \t]*[章回节節幕部巻卷話话](?:[ \t:：].*)?"
_KOREAN: Final = r"제?[ \t]*\d+[ \t]*[장부절](?:[ \t.:].*)?"

_CHAPTER: Final = re.compile(f"{_ALPHABETIC}|{_CHINESE}|{_KOREAN}")


def is_chapter_line(line: str) -> bool:
    """Say whether a line reads like the number of a chapter, with or without its title."""
    return _CHAPTER.fullmatch(line) is not None
