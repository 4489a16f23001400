"""`chatterqueue models fetch|lock|verify|list`, as the process that the thin command line starts.

Parses, calls, prints, returns the exit code; no logic. Results go to stdout, progress and errors to stderr.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from producer.contract.errors import ChatterqueueError
from producer.contract.exitcode import ExitCode
from producer.contract.narration import ModelName
from worker.errors import WeightsMissingError
from worker.models.store.adoption import lock_as_is
from worker.models.store.catalog import ALL_MODELS, DEFAULT_REPO, required_files_of
from worker.models.store.fetching import fetch
from worker.models.store.inventory import inventory
from worker.models.store.lock import Lock, read_lock
from worker.models.store.staging import mib
from worker.models.store.verification import locked_files, require


def main(arguments: Sequence[str] | None = None, *, default_dir: Path) -> int:
    """Run one command and return its exit code, one of `ExitCode`."""
    options = _parser(default_dir).parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        result = options.run(options)
    except ChatterqueueError as error:
        document = json.dumps({"error": error.to_dict()}, indent=2, ensure_ascii=False)
        sys.stderr.write(f"{document}\n" if options.json else f"error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("stopped; what came so far is kept: run the same command again\n")
        return ExitCode.INTERRUPTED
    _print(json.dumps(result, indent=2) if options.json else options.describe(result))
    return ExitCode.OK


def _parser(default_dir: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chatterqueue models", description="The weights of Chatterbox.")
    commands = parser.add_subparsers(required=True, metavar="fetch|lock|verify|list")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--dir", type=Path, default=default_dir, help="folder of the weights (default: %(default)s)")
    shared.add_argument("--json", action="store_true", help="print one JSON object")
    models = argparse.ArgumentParser(add_help=False)
    names = [str(model) for model in ALL_MODELS]
    models.add_argument("--model", choices=[*names, "all"], default="all", help="which model (default: all)")

    get = commands.add_parser("fetch", parents=[shared, models], help="download, convert and lock")
    get.add_argument("--repo", default=DEFAULT_REPO, help="repository on the hub (default: %(default)s)")
    get.add_argument("--revision", help="branch, tag or commit (default: what the lock has, else main)")
    get.add_argument("--update", action="store_true", help="ask anew which commit the branch has")
    get.set_defaults(run=_fetch, describe=_describe_fetched)
    adopt = commands.add_parser("lock", parents=[shared, models], help="lock files that are there already")
    adopt.set_defaults(run=_lock, describe=_describe_locked)
    check = commands.add_parser("verify", parents=[shared, models], help="hash every file; needs no network")
    check.set_defaults(run=_verify, describe=_describe_verified)
    show = commands.add_parser("list", parents=[shared], help="what is there")
    show.set_defaults(run=lambda options: inventory(options.dir), describe=_describe_inventory)
    return parser


def _models(options: argparse.Namespace) -> tuple[ModelName, ...]:
    return ALL_MODELS if options.model == "all" else (ModelName(options.model),)


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _fetch(options: argparse.Namespace) -> dict[str, Any]:
    fetched = fetch(
        options.dir,
        _models(options),
        repo=options.repo,
        revision=options.revision,
        is_update=options.update,
        report=_report,
    )
    return {
        **_summary(options.dir, fetched.lock),
        "downloaded": list(fetched.downloaded),
        "kept": list(fetched.kept),
    }


def _lock(options: argparse.Namespace) -> dict[str, Any]:
    # Asked for all, a folder with one of the models is locked with that one.
    models = _models(options)
    whole = [model for model in models if _is_there(options.dir, model)]
    return _summary(options.dir, lock_as_is(options.dir, tuple(whole) or models, report=_report))


def _is_there(model_dir: Path, model: ModelName) -> bool:
    return all((model_dir / name).is_file() for name in required_files_of(model))


def _verify(options: argparse.Namespace) -> dict[str, Any]:
    lock = read_lock(options.dir)
    require(options.dir, lock, locked_files(lock))
    if options.model != "all" and (missing := lock.missing_of(ModelName(options.model))):
        raise WeightsMissingError(f"the lock in {options.dir} has no {', '.join(missing)}; run `models fetch`")
    return {**_summary(options.dir, lock), "num_files": len(locked_files(lock))}


def _summary(model_dir: Path, lock: Lock) -> dict[str, Any]:
    return {
        "model_dir": str(model_dir),
        "repo": lock.repo,
        "revision": lock.revision,
        "commit": lock.commit,
        "models": [str(model) for model in lock.complete_models()],
        "size_bytes": sum(entry.size_bytes for entry in locked_files(lock).values()),
    }


def _describe_fetched(result: dict[str, Any]) -> str:
    came = f"{len(result['downloaded'])} fetched, {len(result['kept'])} were there"
    return f"{_describe_locked(result)}; {came}\nexport CHATTERQUEUE_MODEL_DIR={result['model_dir']}"


def _describe_locked(result: dict[str, Any]) -> str:
    origin = f"{result['repo']} at commit {result['commit']}" if result["commit"] else "files as they were there"
    return f"{result['model_dir']}: {', '.join(result['models'])} ({mib(result['size_bytes'])}), {origin}"


def _describe_verified(result: dict[str, Any]) -> str:
    return f"{_describe_locked(result)}; {result['num_files']} files are what the lock says"


def _describe_inventory(result: dict[str, Any]) -> str:
    origin = f"{result['repo']} at {result['revision']}, commit {result['commit']}" if result["commit"] else "no commit"
    lines = [f"{result['model_dir']}: {origin if result['is_locked'] else 'no lock'}"]
    width = max((len(file["file"]) for file in result["files"]), default=0)
    for file in result["files"]:
        digest = f"{file['sha256'][:16]}..." if file["sha256"] else ""
        size = mib(file["size_bytes"])
        lines.append(f"  {file['file']:{width}}  {size:>12}  {file['state']:12}  {file['kind']:12}  {digest}".rstrip())
    for model, is_complete in result["models"].items():
        lines.append(f"{model}: {'complete' if is_complete else 'incomplete'}")
    return "\n".join(lines)


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
