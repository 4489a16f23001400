"""The files of the page itself, read once; a request names one of them or nothing.

Knows nothing of narrations. No path of a request ever reaches the file system.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_HOME: Final = "index.html"


def asset_routes() -> list[Route]:
    """Return one route for each file in `static/`, and `/` for the first page."""
    routes = []
    for file in files("producer.page").joinpath("static").iterdir():
        media_type = _TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            path = "/" if file.name == _HOME else f"/{file.name}"
            routes.append(_route(path, file.read_bytes(), media_type))
    return routes


def _route(path: str, content: bytes, media_type: str) -> Route:
    async def answer(request: Request) -> Response:
        # Asked for again at every visit, so that a new version is seen at once; they are small.
        return Response(content, media_type=media_type, headers={"cache-control": "no-cache"})

    return Route(path, answer, methods=["GET"])
