"""The command `worker`: becomes the supervisor of this machine's worker processes."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from producer.contract.routing import Role
from producer.extras import require_extra


def worker(
    role: Annotated[
        Role, typer.Option(help="`gpu` synthesizes, `cpu` splits and assembles, `all` does both.")
    ] = Role.ALL,
    gpus: Annotated[str | None, typer.Option(help="Numbers of the GPUs to use, such as 0,1; default: all.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print errors as JSON.")] = False,
) -> None:
    """Run workers on this machine: one process per GPU and some beside them, or one. Ctrl-C lets them finish."""
    del json
    if gpus is not None and not all(number.strip().isdigit() for number in gpus.split(",")):
        raise typer.BadParameter("is no list of numbers such as 0,1", param_hint="--gpus")
    require_extra("worker")
    arguments = ["--role", role.value, *(["--gpus", gpus] if gpus is not None else [])]
    # The same process id: whoever supervises this command supervises the workers.
    os.execv(sys.executable, [sys.executable, "-m", "worker.supervisor", *arguments])  # noqa: S606 - no shell is wanted
