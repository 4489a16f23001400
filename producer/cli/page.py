"""The command `page`: shows the farm's narrations in a browser until Ctrl-C."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from producer.cli import options, output
from producer.contract.errors import StackError
from producer.contract.exitcode import ExitCode
from producer.contract.settings import Settings
from producer.extras import require_extra
from producer.page.settings import DEFAULT_HOST, DEFAULT_PORT, PageSettings

if TYPE_CHECKING:
    from producer.page.page import Page

#: Seconds between two looks at whether it still answers.
CHECK_EVERY_S: Final = 0.5


def page(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = DEFAULT_HOST,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0: any that is free.")] = DEFAULT_PORT,
    json: options.Json = False,
) -> int:
    """Show narrations in a browser: progress, text beside the audio, what to listen to. It changes nothing."""
    del json
    try:
        with open_page(host, port) as opened:
            output.print_lines({"url": opened.link}, [opened.link])
            output.print_progress_note("open it in a browser; Ctrl-C ends the page and no narration")
            while opened.is_running:
                time.sleep(CHECK_EVERY_S)
    except KeyboardInterrupt:
        return ExitCode.OK
    raise StackError("page", "its server has ended")


def open_page(host: str, port: int) -> Page:
    """Return the page of the farm that the environment names; use it as a context manager.

    Raises:
        SettingsError: the extra `page` is not installed, or a setting or the address cannot be used.
        StorageUnavailableError: there are no credentials for S3.
    """
    require_extra("page")
    from producer.page.page import Page  # the base install has no HTTP server

    return Page(Settings.load(), PageSettings.load(), host=host, port=port)
