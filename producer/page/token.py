"""The access token: who knows it may read every narration.

Knows nothing of HTTP but the form of one header.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final, Self

#: Bytes of chance in a token that we make.
TOKEN_BYTES: Final = 32

_SCHEME: Final = b"bearer "


class AccessToken:
    """A token that tells no more of itself than whether another is the same."""

    def __init__(self, token: str) -> None:
        self._token = token
        # Hashes have one length, so that the comparison does not tell the token's.
        self._digest = hashlib.sha256(token.encode()).digest()

    @classmethod
    def new(cls) -> Self:
        """Return a token that nobody can guess."""
        return cls(secrets.token_urlsafe(TOKEN_BYTES))

    def __repr__(self) -> str:
        return "AccessToken(...)"

    def reveal(self) -> str:
        """Return the token itself, to be shown once to whoever started the page."""
        return self._token

    def is_in(self, authorization: bytes | None) -> bool:
        """Say whether the value of an `Authorization` header carries this token; takes the same time for any other."""
        given = authorization or b""
        has_scheme = given[: len(_SCHEME)].lower() == _SCHEME
        digest = hashlib.sha256(given[len(_SCHEME) :].strip()).digest()
        return hmac.compare_digest(digest, self._digest) and has_scheme
