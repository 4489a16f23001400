"""What the page is told by CHATTERQUEUE_PAGE_* variables.

Knows nothing of Redis or S3 (`producer.contract.settings`).
"""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from producer.contract.errors import SettingsError

#: Where the page is if nobody says otherwise.
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8090

#: Characters of the shortest token that we take; whoever reaches the port can guess as fast as we answer.
MIN_TOKEN_CHARS: Final = 16


class PageSettings(BaseSettings):
    """Who may come in, and by which name."""

    model_config = SettingsConfigDict(
        env_prefix="CHATTERQUEUE_PAGE_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    #: What a browser has to know; None: a new one at every start.
    token: Annotated[SecretStr, Field(min_length=MIN_TOKEN_CHARS, max_length=512)] | None = None
    #: Names under which browsers reach the page, with commas between them; addresses and localhost go without saying.
    hosts: Annotated[str, Field(pattern=r"^[A-Za-z0-9.,_ -]{0,1000}$")] = ""

    @property
    def host_names(self) -> frozenset[str]:
        """The names, in lower case."""
        return frozenset(name.strip().lower() for name in self.hosts.split(",") if name.strip())

    @classmethod
    def load(cls) -> Self:
        """Return the settings of this process.

        Raises:
            SettingsError: naming every variable that cannot be used, never its value.
        """
        try:
            return cls()
        except ValidationError as error:
            faults = [
                f"CHATTERQUEUE_PAGE_{'_'.join(str(part) for part in detail['loc']).upper()}: {detail['msg']}"
                for detail in error.errors(include_url=False, include_input=False, include_context=False)
            ]
            raise SettingsError(faults) from None
