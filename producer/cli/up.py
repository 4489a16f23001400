"""The command `up`: the embedded stack and a worker until Ctrl-C."""

from __future__ import annotations

import shlex
import time
from typing import Annotated, Final

import typer

from producer.cli import options, output
from producer.cli.localstack import local_stack
from producer.contract.errors import ExitCode
from producer.stack import EmbeddedStack

#: Seconds between two looks at whether every part still runs.
CHECK_EVERY_S: Final = 0.5


def up(
    engine: options.Engine = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Start Redis and S3 alone.")] = False,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    json: options.Json = False,
) -> int:
    """Run Redis, S3 and one worker on this machine, print the environment to use, and stop all on Ctrl-C."""
    del json
    output.print_progress_note(f"starting the embedded stack in {data_dir}")
    with local_stack(data_dir, engine=engine, has_worker=not no_worker) as stack:
        environment = stack.environment()
        output.print_lines(environment, [f"export {name}={shlex.quote(value)}" for name, value in environment.items()])
        output.print_progress_note(
            f"running. In another terminal:  . {shlex.quote(str(stack.folder.environment_path))}\n"
            f"logs: {stack.folder.log_dir}   Ctrl-C stops everything."
        )
        return _run_until_interrupted(stack)


def _run_until_interrupted(stack: EmbeddedStack) -> ExitCode:
    try:
        while True:
            stack.check()
            time.sleep(CHECK_EVERY_S)
    except KeyboardInterrupt:
        output.print_progress_note("stopping")
        return ExitCode.OK
