"""The gate before the page: who is refused, which headers every answer has, and how a bug ends.

Knows nothing of narrations. Nothing that a request holds is logged.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producer.page.headers import Headers
from producer.page.hosts import is_known_host
from producer.page.token import AccessToken

logger = logging.getLogger(__name__)

#: All that is not open to whoever reaches the port: the files of the page itself hold nothing.
API_PREFIX: Final = "/api/"

_REFUSALS: Final = {
    HTTPStatus.MISDIRECTED_REQUEST: ("unknown_host", "the page is not known under this name", {}),
    HTTPStatus.METHOD_NOT_ALLOWED: ("read_only", "the page only reads: GET", {b"allow": b"GET"}),
    HTTPStatus.UNAUTHORIZED: ("unauthorized", "a token is needed", {b"www-authenticate": b"Bearer"}),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("internal", "a bug: please report it", {}),
}


class Gate:
    """Lets in requests that name a known host, only read, and carry the token where it is needed."""

    def __init__(self, app: ASGIApp, *, token: AccessToken, host_names: Collection[str], headers: Headers) -> None:
        self._app = app
        self._token = token
        self._host_names = host_names
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI wants it."""
        is_answered = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                is_answered = True
                message = {**message, "headers": [*message["headers"], *self._headers]}
            await send(message)

        status = self._refusal(scope)
        if status is None:
            try:
                await self._app(scope, receive, send_with_headers)
            except Exception as error:  # noqa: BLE001 - a request must not end the page; its text may hold a narration's
                logger.error("page_request_failed: %s", type(error).__name__)  # noqa: TRY400
                status = None if is_answered else HTTPStatus.INTERNAL_SERVER_ERROR
        if status is not None:
            await _refuse(status, send_with_headers)

    def _refusal(self, scope: Scope) -> HTTPStatus | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if not is_known_host(headers.get(b"host"), self._host_names):
            return HTTPStatus.MISDIRECTED_REQUEST
        if scope["method"] != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED
        if scope["path"].startswith(API_PREFIX) and not self._token.is_in(headers.get(b"authorization")):
            return HTTPStatus.UNAUTHORIZED
        return None


async def _refuse(status: HTTPStatus, send: Send) -> None:
    code, message, extra = _REFUSALS[status]
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *extra.items(),
    ]
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body})
