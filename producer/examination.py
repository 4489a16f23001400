"""What a narration needs, looked at piece by piece: settings, Redis, S3, workers, and what is installed here.

Knows nothing of how its findings are printed. It changes nothing, but for a probe in the bucket that it removes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from producer.connection import check_redis, redis_errors
from producer.contract.errors import QueueUnavailableError, SettingsError, StorageUnavailableError
from producer.contract.keys import RedisKeys
from producer.contract.settings import Settings
from producer.extras import install_line, installed_extras
from producer.services import Services
from producer.workers import LiveWorker, live_workers

if TYPE_CHECKING:
    from redis import Redis

#: Seconds by which the clocks of this machine and of Redis may differ: times are shown, and URLs signed, by ours.
MAX_SKEW_S: Final = 5.0


class Grade(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"  #: no narration will succeed, or accepted ones may be lost


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one subject, and what to do about it."""

    subject: str
    grade: Grade
    text: str
    remedy: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain values."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look at everything and return what was found; a part that cannot be looked at is a finding too."""
    try:
        settings = Settings.load()
    except SettingsError as error:
        remedy = "correct the variable and run doctor again"
        return [Finding("settings", Grade.PROBLEM, fault, remedy) for fault in error.args[0]]
    services = Services(settings)
    try:
        return [
            Finding("settings", Grade.OK, f"prefix {settings.redis_prefix!r}, bucket {settings.s3_bucket!r}"),
            *_redis(services),
            *_storage(services),
            *_installed(),
        ]
    finally:
        services.close()


def _redis(services: Services) -> Iterator[Finding]:
    settings = services.settings
    try:
        with redis_errors(settings):
            info = services.redis.info("server")
            problems = check_redis(services.redis)
            skew_s = _skew_s(services.redis)
            refused = services.redis.hgetall(RedisKeys(settings.redis_prefix).quarantined())
        workers = live_workers(services.redis, settings)
    except QueueUnavailableError as error:
        remedy = "start Redis or Valkey, or set CHATTERQUEUE_REDIS_URL; `chatterqueue up` brings its own"
        yield Finding("Redis", Grade.PROBLEM, f"{error.args[0]}: {error.args[1]}", remedy)
        return
    name, version = (
        ("Valkey", info["valkey_version"]) if "valkey_version" in info else ("Redis", info.get("redis_version"))
    )
    yield Finding("Redis", Grade.OK, f"{name} {version} at {settings.redis_address()}")
    for problem in problems:
        text, _, remedy = problem.partition("; ")
        yield Finding("Redis", Grade.PROBLEM, text, remedy)
    if abs(skew_s) > MAX_SKEW_S:
        text = f"differs by {skew_s:.0f} s from this machine's"
        yield Finding("clock", Grade.PROBLEM, f"the clock of Redis {text}", "let both follow a time server")
    else:
        yield Finding("clock", Grade.OK, "agrees with that of Redis")
    yield from _quarantine(refused, settings)
    yield from _workers(workers)


def _quarantine(refused: Mapping[Any, Any], settings: Settings) -> Iterator[Finding]:
    """Say how many messages no worker would take; a farm that has its Redis to itself has none."""
    if refused:
        reasons = ", ".join(f"{int(count)} {reason.decode()}" for reason, count in sorted(refused.items()))
        key = RedisKeys(settings.redis_prefix).quarantine()
        remedy = f"find out who else writes to this Redis; `LRANGE {key} 0 -1` says when they came"
        yield Finding("messages", Grade.WARNING, f"workers have refused: {reasons}", remedy)


def _skew_s(redis: Redis) -> float:
    """Return by how many seconds the clock of Redis is ahead of ours."""
    before_s = time.time()
    seconds, microseconds = redis.time()
    return seconds + microseconds / 1e6 - (before_s + time.time()) / 2


def _workers(workers: list[LiveWorker]) -> Iterator[Finding]:
    if not workers:
        yield Finding("workers", Grade.WARNING, "none is running", "start one: chatterqueue worker")
    for worker in workers:
        yield Finding("worker", Grade.OK, str(worker))


def _storage(services: Services) -> Iterator[Finding]:
    address = services.settings.s3_address()
    remedy = "check CHATTERQUEUE_S3_ENDPOINT_URL, CHATTERQUEUE_S3_BUCKET and the credentials"
    try:
        problems = services.store.check()
    except StorageUnavailableError as error:
        problems = [f"{error.args[0]}: {error.args[1]}"]
    for problem in problems:
        text, _, own_remedy = problem.partition("; ")
        yield Finding("S3", Grade.PROBLEM, text, own_remedy or remedy)
    if not problems:
        yield Finding("S3", Grade.OK, f"{address}: a probe was written, read and removed")


def _installed() -> Iterator[Finding]:
    for extra, is_installed in installed_extras().items():
        text = f"extra `{extra}` is {'installed' if is_installed else 'not installed'}"
        yield Finding(
            "here", Grade.OK, text, "" if is_installed else f"if this machine needs it: {install_line(extra)}"
        )
    yield Finding("here", Grade.OK, _gpus())
    model_dir = os.environ.get("CHATTERQUEUE_MODEL_DIR")
    if model_dir and not Path(model_dir).is_dir():
        text = f"CHATTERQUEUE_MODEL_DIR is {model_dir!r}, which is no folder"
        yield Finding("here", Grade.PROBLEM, text, "point it at the folder with the checkpoint files, or unset it")
    else:
        yield Finding("here", Grade.OK, f"weights in {model_dir}" if model_dir else "no CHATTERQUEUE_MODEL_DIR")


def _gpus() -> str:
    """Return in words which NVIDIA GPUs this machine has."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "no NVIDIA GPU"
    try:
        listing = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return "nvidia-smi is here and does not work"
    return f"{len(listing.splitlines())} NVIDIA GPUs"
