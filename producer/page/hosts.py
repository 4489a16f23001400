"""Which `Host` a request may name.

A page of somebody else can have its own name lead to 127.0.0.1 and then read what is there as if it were its own (DNS
rebinding). The browser still sends that name, so only names that we know are let in. An address cannot be rebound.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from typing import Final

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?", re.ASCII)


def is_known_host(host: bytes | None, names: Collection[str]) -> bool:
    """Say whether a `Host` header names an address, localhost, or one of our names.

    Args:
        host: the header's value, with or without a port; None if there is none.
        names: ours, in lower case.
    """
    found = _HOST.fullmatch((host or b"").decode("latin-1"))
    if found is None:
        return False
    name = found[1].strip("[]").lower()
    return name == "localhost" or name in names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
