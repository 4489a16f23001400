"""Who says it: the words behind a speech that belong to its sentence. Knows nothing of where sentences end.

Where such words begin with a small letter they need no list; these are the languages in which they do not.
"""

# Other alphabets are what this file is about.
# ruff: noqa: RUF001

from __future__ import annotations

import re
from typing import Final

#: A name; any other word with a capital begins a sentence of its own, as in "It went on raining".
_ENGLISH: Final = (
    r"(?!(?:I|It|He|She|They|We|You|There|That|This|Nobody|Everybody|The|An?|Then|But|And|So)\b)(?:(?:[A-Z][\w’'.-]*|the|old|young|of|de|von|van|der|la|le)\s){1,4}(?:said|says|asked|cried|answered|replied|"
    r"shouted|whispered|called|added|murmured|muttered|exclaimed|began|continued|went\son|repeated|remarked|returned|"
    r"interrupted|thought|screamed|sighed|laughed|told|demanded|observed|put\sin)\b"
)
_KOREAN: Final = (
    r"[^.!?。“”\"]{1,24}(?:말했|물었|대답했|외쳤|속삭였|소리쳤|중얼거렸|덧붙였|불렀|되물었)[\uac00-\ud7a3]{1,3}"
)
_CHINESE: Final = r"[^。！？，“”「」]{1,8}(?:说|道|问|答|喊|叫|說|問)(?:道|着|了)?[。，：:]"
_HEBREW: Final = r"(?:אמר|שאל|קרא|ענ|לחש|צעק|השיב|המשיכ?|הוסיפ?)[הותי]{0,2}\b"
_ARABIC: Final = r"(?:قال|سأل|صاح|أجاب|همس|رد|نادى|أضاف)ت?\b"
#: Particles that quote what stands before them.
_JAPANESE: Final = r"(?:と|って|なんて|、)"

_WHO: Final = {
    language: re.compile(pattern)
    for language, pattern in (
        ("en", _ENGLISH),
        ("ko", _KOREAN),
        ("zh", _CHINESE),
        ("he", _HEBREW),
        ("ar", _ARABIC),
        ("ja", _JAPANESE),
    )
}


def says_who(text: str, position: int, language: str) -> bool:
    """Say whether the words at this position, behind a speech, tell who says it."""
    pattern = _WHO.get(language)
    return pattern is not None and pattern.match(text, position) is not None
