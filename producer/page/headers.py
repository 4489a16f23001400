"""The headers that every answer carries: what a browser may do with the page.

Knows nothing of what is in an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

Headers = Sequence[tuple[bytes, bytes]]


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def security_headers(media_origin: str) -> Headers:
    """Return the headers; nothing is loaded from anywhere but here, and audio from where S3 is.

    Args:
        media_origin: scheme, host and port of the presigned URLs.
    """
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        f"media-src {media_origin}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # Where the browser knows it, a text cannot become markup by any mistake of ours.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return [
        (b"content-security-policy", "; ".join(policy).encode("ascii")),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]
