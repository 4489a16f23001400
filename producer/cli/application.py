"""The command line as a whole: which commands there are, and how every one of them ends.

Knows nothing of what a command does.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Annotated, Final

import typer

from producer.cli import (
    audit,
    dictionaries,
    doctor,
    fetch,
    follow,
    listing,
    models,
    narrate,
    output,
    page,
    rebuild,
    redo,
    review,
    submit,
    up,
    voices,
    worker,
)
from producer.contract.errors import ChatterqueueError
from producer.contract.exitcode import ExitCode

EXIT_CODES = (
    "Exit codes: 0 done; 1 a bug; 2 wrong arguments; 3 the input was refused, nothing was queued; 4 no such narration "
    "or voice; 5 Redis or S3 cannot be reached; 6 the narration did not succeed or has not ended; 7 the idempotency "
    "key belongs to other content; 8 settings, credentials or models cannot be used; 9 still running when the time "
    "was over; 10 an audit found a promise broken; 130 interrupted."
)

app = typer.Typer(
    name="chatterqueue",
    help="Narrate texts: hand them in, follow them, fetch the audio.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_COMMANDS: Final[dict[str, Callable[..., int | None]]] = {
    "narrate": narrate.narrate,
    "up": up.up,
    "submit": submit.submit,
    "status": follow.status,
    "watch": follow.watch,
    "fetch": fetch.fetch,
    "url": fetch.url,
    "cancel": follow.cancel,
    "retry": follow.retry,
    "review": review.review,
    "redo": redo.redo,
    "delete": follow.delete,
    "list": listing.list_narrations,
    "worker": worker.worker,
    "page": page.page,
    "doctor": doctor.doctor,
    "audit": audit.audit,
    "rebuild": rebuild.rebuild,
}
_VOICE_COMMANDS: Final[dict[str, Callable[..., int | None]]] = {
    "add": voices.add,
    "list": voices.list_voices,
    "show": voices.show,
    "remove": voices.remove,
}


def _register() -> None:
    for name, command in _COMMANDS.items():
        app.command(name, epilog=EXIT_CODES)(command)
    group = typer.Typer(help="Add, list, show and remove voices.", epilog=EXIT_CODES, no_args_is_help=True)
    for name, command in _VOICE_COMMANDS.items():
        group.command(name, epilog=EXIT_CODES)(command)
    app.add_typer(group, name="voices")
    app.add_typer(dictionaries.group(EXIT_CODES), name="dictionaries")
    app.add_typer(models.group(EXIT_CODES), name="models")


_register()


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"chatterqueue {version('chatterqueue')}")
        except PackageNotFoundError:
            typer.echo("chatterqueue, from a checkout")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    del version


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; all errors end here."""
    signal.signal(signal.SIGTERM, _interrupt)
    output.wants_json = "--json" in (sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(args=arguments, prog_name="chatterqueue", standalone_mode=False)
    except ChatterqueueError as error:
        output.print_error(error)
        return error.exit_code
    except typer.TyperException as error:
        output.print_usage_error(error)
        return ExitCode.USAGE
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except SystemExit as end:  # typer's own way out, for completion
        return end.code if isinstance(end.code, int) else ExitCode.INTERNAL
    except Exception:  # noqa: BLE001 - the one place where a bug is reported
        traceback.print_exc()
        return ExitCode.INTERNAL
    finally:
        output.wants_json = False
    return code if isinstance(code, int) else ExitCode.OK


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    """Treat TERM like Ctrl-C, so that whatever was started is stopped."""
    raise KeyboardInterrupt
