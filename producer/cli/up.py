"""The command `up`: the embedded stack, a worker and the page until Ctrl-C."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from producer.cli import options, output
from producer.cli.localstack import local_stack
from producer.cli.page import open_page
from producer.contract.errors import SettingsError
from producer.contract.exitcode import ExitCode
from producer.page.settings import DEFAULT_HOST, DEFAULT_PORT
from producer.stack import EmbeddedStack

if TYPE_CHECKING:
    from producer.page.page import Page

#: Seconds between two looks at whether every part still runs.
CHECK_EVERY_S: Final = 0.5


def up(
    engine: options.Engine = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Start Redis and S3 alone.")] = False,
    no_page: Annotated[bool, typer.Option("--no-page", help="Start no page for a browser.")] = False,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    json: options.Json = False,
) -> int:
    """Run Redis, S3, one worker and the page here, print the environment to use, and stop all on Ctrl-C."""
    del json
    output.print_progress_note(f"starting the embedded stack in {data_dir}")
    with local_stack(data_dir, engine=engine, has_worker=not no_worker) as stack, _page(is_wanted=not no_page) as page:
        environment = stack.environment()
        output.print_lines(
            environment if page is None else {**environment, "page_url": page.link},
            [f"export {name}={shlex.quote(value)}" for name, value in environment.items()],
        )
        if page is not None:
            output.print_progress_note(f"page: {page.link}")
        output.print_progress_note(
            f"running. In another terminal:  . {shlex.quote(str(stack.folder.environment_path))}\n"
            f"logs: {stack.folder.log_dir}   Ctrl-C stops everything."
        )
        return _run_until_interrupted(stack)


@contextmanager
def _page(*, is_wanted: bool) -> Iterator[Page | None]:
    """Run the page in this process; None if it is not wanted or cannot be had, which stops nothing else."""
    try:
        page = _opened() if is_wanted else None
    except SettingsError as error:
        output.print_progress_note(f"no page: {'; '.join(error.args[0])}")
        page = None
    if page is None:
        yield None
        return
    with page:
        yield page


def _opened() -> Page:
    try:
        return open_page(DEFAULT_HOST, DEFAULT_PORT)
    except SettingsError:  # most likely another `up` has the port
        return open_page(DEFAULT_HOST, 0)


def _run_until_interrupted(stack: EmbeddedStack) -> ExitCode:
    try:
        while True:
            stack.check()
            time.sleep(CHECK_EVERY_S)
    except KeyboardInterrupt:
        output.print_progress_note("stopping")
        return ExitCode.OK
