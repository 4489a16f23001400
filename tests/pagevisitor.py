"""Asks the page as a browser or an attacker would: every header as the test says, no path made straight."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from producer.page.page import Page

TOKEN = "a-token-that-only-this-test-knows"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Visitor:
    """Somebody who knows the page's port, and a token."""

    def __init__(self, page: Page, token: str | None = TOKEN) -> None:
        self.port = int(page.address.rstrip("/").rpartition(":")[2])
        self.token = token

    def get(self, path: str, **options: Any) -> Answer:
        """Ask with GET."""
        return self.ask("GET", path, **options)

    def ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, host: str | None = None) -> Answer:
        """Ask; the path goes out as it is."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", f"127.0.0.1:{self.port}" if host is None else host)
            if self.token is not None:
                connection.putheader("Authorization", f"Bearer {self.token}")
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()
