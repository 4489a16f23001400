"""What commands print: results to standard output, everything else to standard error, and both as JSON if asked.

Knows nothing of narrations.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from producer.contract.errors import ChatterqueueError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from typer import TyperException

#: Set once by `main`: whether this run prints JSON. Every command has the flag.
wants_json = False


def console() -> Console:
    """Return the console for results; it wraps nothing when its output is read by a program."""
    from rich.console import Console

    return Console(soft_wrap=not sys.stdout.isatty(), highlight=False)


def progress_console() -> Console:
    """Return the console for everything that is no result."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=not sys.stderr.isatty(), highlight=False)


def print_result(document: Any, human: RenderableType) -> None:
    """Print a result: the document with `--json`, else what a human wants to see of it."""
    if wants_json:
        print_json(document)
        return
    printer = console()
    with printer.capture() as capture:
        printer.print(human, markup=False)
    # rich fills lines up with blanks.
    _write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def print_lines(document: Any, lines: list[str]) -> None:
    """Print a result that other programs read line by line, or the document with `--json`."""
    if wants_json:
        print_json(document)
    else:
        _write("".join(f"{line}\n" for line in lines))


def print_json(document: Any) -> None:
    """Print the one JSON document of a run."""
    _write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_note(text: str) -> None:
    """Print something that is no result."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def print_progress_note(text: str) -> None:
    """Print what is being done, unless a program reads along."""
    if not wants_json:
        print_note(text)


def print_error(error: ChatterqueueError) -> None:
    """Print an error, without a traceback."""
    if wants_json:
        print_note(json.dumps({"error": error.to_dict()}, indent=2, ensure_ascii=False))
    else:
        print_note(f"error: {error}")


def print_usage_error(error: TyperException) -> None:
    """Print what is wrong with the command line itself."""
    message = error.format_message()
    if not message:  # no arguments at all: the help has been printed
        return
    if wants_json:
        document = {"code": "usage", "message": message, "is_retryable": False}
        print_note(json.dumps({"error": document}, indent=2, ensure_ascii=False))
        return
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "chatterqueue"
    print_note(f"error: {message}\nsee: {command} --help")
