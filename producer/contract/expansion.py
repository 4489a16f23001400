"""How large a regular expression becomes when an engine writes its counted repeats out.

Ten characters nest repeats that take gigabytes to compile: `(?:(?:(?:a{9}){9}){9}){9}`. Knows nothing of engines.
"""

from __future__ import annotations

import re
from typing import Final

#: One item of an expression: an escape, a class, the beginning or the end of a group, or any other character.
_ITEM: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?P<open>\()|(?P<close>\))|.", re.DOTALL)
_COUNT: Final = re.compile(r"\{(?P<least>\d*)(?P<comma>,)?(?P<most>\d*)\}")


def expanded_size(pattern: str) -> int:
    """Return the number of items that an expression has with each `{m,n}` written out; it must compile."""
    sizes = [0]
    position = 0
    while item := _ITEM.match(pattern, position):
        position = item.end()
        if item["open"]:
            sizes.append(0)
            continue
        size = sizes.pop() if item["close"] and len(sizes) > 1 else 1
        if count := _COUNT.match(pattern, position):
            position = count.end()
            size *= max(int(count["least"] or 0), int(count["most"] or 0), 1)
        sizes[-1] += size
    return sum(sizes)
