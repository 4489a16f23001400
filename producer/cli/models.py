"""The commands `models fetch|lock|verify|list|compare`: hand over to the worker's side, which knows the weights.

Knows nothing of weights: the producer never imports the worker, it becomes `python -m worker.models.weights`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from producer.cli import options
from producer.extras import require_extra


class Which(StrEnum):
    """Which model a command is about."""

    ALL = "all"
    ENGLISH = "english"
    MULTILINGUAL = "multilingual"


class Device(StrEnum):
    """Where a comparison runs."""

    AUTO = "auto"
    CUDA = "cuda"
    CPU = "cpu"


Folder = Annotated[
    Path | None,
    typer.Option("--dir", help="Folder of the weights; default: CHATTERQUEUE_MODEL_DIR, else one in the user's cache."),
]
Model = Annotated[Which, typer.Option(help="Which model.")]


def fetch(
    model: Model = Which.ALL,
    folder: Folder = None,
    repo: Annotated[str | None, typer.Option(help="Repository on the hub; default: ResembleAI/chatterbox.")] = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit; default: the one of the lock, else main.")
    ] = None,
    update: Annotated[bool, typer.Option("--update", help="Ask anew which commit the branch has.")] = False,
    json: options.Json = False,
) -> None:
    """Download the weights at one commit, convert and lock them. Goes on where it broke off."""
    chosen = [*_option("--repo", repo), *_option("--revision", revision), *(["--update"] if update else [])]
    _become("fetch", ["--model", model.value, *chosen], folder, is_json=json)


def lock(model: Model = Which.ALL, folder: Folder = None, json: options.Json = False) -> None:
    """Lock weights that are in the folder already, without a network."""
    _become("lock", ["--model", model.value], folder, is_json=json)


def verify(model: Model = Which.ALL, folder: Folder = None, json: options.Json = False) -> None:
    """Hash every file and name those that are not what the lock says. Ends with 8 if there is one."""
    _become("verify", ["--model", model.value], folder, is_json=json)


def list_models(folder: Folder = None, json: options.Json = False) -> None:
    """Say what is in the folder: files, sizes, commit, which models are complete."""
    _become("list", [], folder, is_json=json)


def compare(
    folder: Annotated[Path, typer.Argument(help="Folder of the weights.")],
    model: Annotated[Which, typer.Option(help="Which model: english or multilingual.")] = Which.ENGLISH,
    language: Annotated[str, typer.Option(help="Language of the texts, for the multilingual model.")] = "en",
    texts: Annotated[Path | None, typer.Option(help="A file with one text a line; default: six sentences.")] = None,
    device: Annotated[Device, typer.Option(help="auto: cuda if there is one; on cpu, no int8.")] = Device.AUTO,
    json: options.Json = False,
) -> None:
    """Say how far bf16 and int8 are from full precision, with these weights on this machine."""
    if model is Which.ALL:
        raise typer.BadParameter("compares one model at a time: english or multilingual", param_hint="--model")
    require_extra("gpu")
    chosen = ["--model", model.value, "--language", language, "--device", device.value]
    chosen += _option("--texts", None if texts is None else str(texts))
    _replace_by("worker.models.compare", [str(folder), *chosen, *(["--json"] if json else [])])


def group(epilog: str) -> typer.Typer:
    """Return the commands as a group."""
    app = typer.Typer(help="Fetch, lock, verify, list and compare the weights.", epilog=epilog, no_args_is_help=True)
    commands: dict[str, Callable[..., None]] = {
        "fetch": fetch,
        "lock": lock,
        "verify": verify,
        "list": list_models,
        "compare": compare,
    }
    for name, command in commands.items():
        app.command(name, epilog=epilog)(command)
    return app


def _option(name: str, value: str | None) -> list[str]:
    return [] if value is None else [name, value]


def _become(command: str, arguments: list[str], folder: Path | None, *, is_json: bool) -> NoReturn:
    """Replace this process by the worker's command, so that Ctrl-C and the exit code are its own."""
    require_extra("gpu")
    shared = [*_option("--dir", None if folder is None else str(folder)), *(["--json"] if is_json else [])]
    _replace_by("worker.models.weights", [command, *arguments, *shared])


def _replace_by(module: str, arguments: list[str]) -> NoReturn:
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - no shell is wanted
