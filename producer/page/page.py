"""The page as a whole: the API behind its gate, at an address, with its token.

Knows nothing of the command line.
"""

from __future__ import annotations

import ipaddress
from types import TracebackType
from typing import Self

from producer.contract.errors import SettingsError
from producer.contract.settings import Settings
from producer.page.api import page_app
from producer.page.gate import Gate
from producer.page.headers import security_headers
from producer.page.narrations import Narrations
from producer.page.server import PageServer
from producer.page.settings import DEFAULT_HOST, PageSettings
from producer.page.token import AccessToken


class Page:
    """Shows the narrations of a farm while its `with` block runs."""

    def __init__(self, settings: Settings, page_settings: PageSettings, *, host: str = DEFAULT_HOST, port: int) -> None:
        """Take the address; nothing is answered yet.

        Args:
            settings: where Redis and S3 are.
            page_settings: who may come in.
            host: address or name to listen on.
            port: 0: any that is free.

        Raises:
            SettingsError: the address cannot be had, or others can reach it and nobody has set a token.
            StorageUnavailableError: there are no credentials for S3.
        """
        given = page_settings.token
        if given is None and not _is_loopback(host):
            fault = "CHATTERQUEUE_PAGE_TOKEN: is needed for a page that other machines can reach (openssl rand -hex 24)"
            raise SettingsError([fault])
        self._new_token = AccessToken.new() if given is None else None
        token = self._new_token or AccessToken(given.get_secret_value() if given else "")
        narrations = Narrations.of(settings)
        host_names = page_settings.host_names | {host.lower()}
        headers = security_headers(narrations.media_origin())
        gate = Gate(page_app(narrations), token=token, host_names=host_names, headers=headers)
        self._server = PageServer(gate, host, port)

    @property
    def address(self) -> str:
        """Where a browser finds the page; it asks for the token."""
        return self._server.address

    @property
    def link(self) -> str:
        """The address, with the token if it was made for this start: then nobody else knows it.

        It stands behind `#`, which a browser keeps to itself, so it is in no log of any server or proxy.
        """
        return self.address if self._new_token is None else f"{self.address}#token={self._new_token.reveal()}"

    @property
    def is_running(self) -> bool:
        """Say whether it still answers."""
        return self._server.is_running

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
