"""A server that speaks the part of the hub's protocol that fetching uses, and can misbehave on request.

As the real one: small files are answered directly with git's SHA-1 as ETag; large ones redirect to another host, where
they lie under their SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

REPO = "ResembleAI/chatterbox"
#: Files from this size on lie in large file storage.
LARGE_BYTES = 4096


@dataclass
class FakeHub:
    """One repository with commits and branches; use it as a context manager."""

    commits: dict[str, dict[str, bytes]]
    branches: dict[str, str]
    #: File -> bytes after which the connection is cut, once for each number in the list.
    cuts: dict[str, list[int]] = field(default_factory=dict)
    #: File -> bytes after which nothing more comes, while the connection stays.
    stalls: dict[str, int] = field(default_factory=dict)
    #: File -> other bytes that are sent instead of the announced ones.
    swaps: dict[str, bytes] = field(default_factory=dict)
    #: File -> status that is answered instead of the content.
    statuses: dict[str, int] = field(default_factory=dict)
    ignores_ranges: bool = False
    #: (method, path, Range header) of every request.
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    #: (path, Authorization header) of every request that had one.
    authorized: list[tuple[str, str]] = field(default_factory=list)
    #: Bytes sent of each file.
    sent_bytes: dict[str, int] = field(default_factory=dict)
    port: int = 0
    _server: ThreadingHTTPServer | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; on the same port as before, if it was stopped."""
        self._server = _Server(("127.0.0.1", self.port), _handler(self))
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Be down: connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> FakeHub:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def ranges_of(self, name: str) -> list[str | None]:
        """Return the Range headers of the requests for the content of a file."""
        return [span for method, path, span in self.requests if method == "GET" and path.endswith(f"/{name}")]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.requests.append((self.command, path, self.headers.get("Range")))
            if "Authorization" in self.headers:
                hub.authorized.append((path, self.headers["Authorization"]))
            api = f"/api/models/{REPO}/revision/"
            if path.startswith(api):
                self._revision(path.removeprefix(api))
            elif path.startswith(f"/{REPO}/resolve/"):
                commit, _, name = path.removeprefix(f"/{REPO}/resolve/").partition("/")
                self._resolve(hub.branches.get(commit, commit), name)
            elif path.startswith("/cdn/"):
                _, _, commit, name = path.split("/", 3)
                self._content(name, hub.commits[commit][name], {})
            else:
                self._plain(404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})

        def _revision(self, revision: str) -> None:
            commit = hub.branches.get(revision, revision)
            if commit not in hub.commits:
                self._plain(404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
                return
            siblings = [{"rfilename": name} for name in hub.commits[commit]]
            body = json.dumps({"_id": "0", "id": REPO, "sha": commit, "siblings": siblings}).encode()
            self._send(200, {"Content-Type": "application/json", "Content-Length": str(len(body))}, body)

        def _resolve(self, commit: str, name: str) -> None:
            files = hub.commits.get(commit, {})
            if name in hub.statuses:
                self._plain(hub.statuses[name], {})
                return
            if name not in files:
                self._plain(404, {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
                return
            data = files[name]
            headers = {"X-Repo-Commit": commit}
            if len(data) < LARGE_BYTES:
                blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
                self._content(name, data, headers | {"ETag": f'"{blob}"'})
                return
            linked = {"X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
            location = {"Location": f"http://localhost:{hub.port}/cdn/{commit}/{name}", "Content-Length": "0"}
            self._send(302, headers | linked | location, b"")

        def _content(self, name: str, data: bytes, headers: dict[str, str]) -> None:
            if self.command == "HEAD":
                self._send(200, headers | {"Content-Length": str(len(data)), "Accept-Ranges": "bytes"}, b"")
                return
            data = hub.swaps.get(name, data)
            span = self.headers.get("Range")
            start = int(span.removeprefix("bytes=").partition("-")[0]) if span and not hub.ignores_ranges else 0
            if start:
                headers |= {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
            body = data[start:]
            headers |= {"Content-Length": str(len(body))}
            cuts = hub.cuts.get(name, [])
            if cuts:
                body = body[: cuts.pop(0)]
                self.close_connection = True
            hub.sent_bytes[name] = hub.sent_bytes.get(name, 0) + len(body)
            if name in hub.stalls:
                self._send(206 if start else 200, headers, body[: hub.stalls[name]])
                while name in hub.stalls:
                    time.sleep(0.02)
                self.close_connection = True
                return
            self._send(206 if start else 200, headers, body)

        def _plain(self, status: int, headers: dict[str, str]) -> None:
            self._send(status, headers | {"Content-Length": "0"}, b"")

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    return Handler
