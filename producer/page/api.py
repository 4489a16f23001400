"""The page's HTTP API, read-only: which path gives which document, and which error which status.

Knows nothing of tokens and hosts (`producer.page.gate`).
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from producer.contract.errors import (
    ChatterqueueError,
    NarrationFailedError,
    NarrationNotFoundError,
    NarrationUnfinishedError,
    QueueUnavailableError,
    StorageUnavailableError,
)
from producer.contract.keys import is_id
from producer.contract.status import State
from producer.page.assets import asset_routes
from producer.page.gate import API_PREFIX
from producer.page.narrations import Narrations

#: Narrations in one list.
DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 500

_STATUSES: Final[dict[type[ChatterqueueError], HTTPStatus]] = {
    NarrationNotFoundError: HTTPStatus.NOT_FOUND,
    NarrationUnfinishedError: HTTPStatus.CONFLICT,
    NarrationFailedError: HTTPStatus.CONFLICT,
    QueueUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    StorageUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}


def page_app(narrations: Narrations) -> Starlette:
    """Return the page without its gate: the API over these narrations, and the files of the page."""

    def list_them(request: Request) -> Response:
        limit = _limit(request.query_params.get("limit"))
        return _json({"narrations": narrations.newest(limit, _state(request.query_params.get("state")))})

    def one(answer: Callable[[str], dict[str, Any]]) -> Callable[[Request], Response]:
        # Starlette runs what is not `async` in a thread of its own, so that Redis and S3 keep nobody else waiting.
        return lambda request: _json(answer(_id(request)))

    path = f"{API_PREFIX}narrations"
    app = Starlette(
        routes=[
            Route(path, list_them, methods=["GET"]),
            Route(f"{path}/{{id}}", one(narrations.narration), methods=["GET"]),
            Route(f"{path}/{{id}}/progress", one(narrations.progress), methods=["GET"]),
            Route(f"{path}/{{id}}/links", one(narrations.links), methods=["GET"]),
            *asset_routes(),
        ],
        exception_handlers={ChatterqueueError: _refused, HTTPException: _not_there, Exception: _failed},
    )
    app.router.redirect_slashes = False  # a path names something or it does not
    return app


def _json(document: dict[str, Any]) -> Response:
    return JSONResponse(document, headers={"cache-control": "no-store"})


def _error(status: int, code: str, message: str) -> Response:
    content = {"error": {"code": code, "message": message}}
    return JSONResponse(content, status_code=status, headers={"cache-control": "no-store"})


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ChatterqueueError)
    kinds = [status for kind, status in _STATUSES.items() if isinstance(error, kind)]
    return _error(kinds[0] if kinds else HTTPStatus.INTERNAL_SERVER_ERROR, error.code, str(error))


def _not_there(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, "not_found" if error.status_code == HTTPStatus.NOT_FOUND else "refused", "")


def _failed(request: Request, error: Exception) -> Response:
    # Starlette raises it again after this answer; the gate says that it happened.
    return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "a bug: please report it")


def _id(request: Request) -> str:
    narration_id: str = request.path_params["id"]
    if not is_id(narration_id):
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return narration_id


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= MAX_LIMIT:
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    return int(text)


def _state(text: str | None) -> State | None:
    if text is None:
        return None
    try:
        return State(text)
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST) from None
