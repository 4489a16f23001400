"""The real parts: one embedded stack for the whole run, a prefix of its own for each test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
from workerprocess import WorkerProcess

from producer.contract.keys import RedisKeys
from producer.contract.settings import Settings
from producer.stack import EmbeddedStack

if TYPE_CHECKING:
    from auditing import AuditedFarm

StartWorker = Callable[..., WorkerProcess]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """Valkey and the S3 server, without a worker."""
    with EmbeddedStack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def settings(stack: EmbeddedStack, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that share neither a Redis key nor an object with any other test; the environment says the same.

    SeaweedFS gives every bucket volumes of its own, so tests share one bucket and differ by prefix.
    """
    name = f"test-{uuid.uuid4().hex[:12]}"
    variables = {
        **stack.environment(),
        "CHATTERQUEUE_REDIS_PREFIX": f"{name}:",
        "CHATTERQUEUE_S3_PREFIX": f"{name}/",
    }
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    return Settings.load()


@pytest.fixture
def redis_client(settings: Settings) -> Iterator[redis.Redis]:
    """A plain connection, to look at what is there."""
    with redis.Redis.from_url(settings.redis_url.get_secret_value(), socket_timeout=10) as client:
        yield client


@pytest.fixture
def store(settings: Settings):
    """The object store under this test's prefix."""
    from producer.storage import ObjectStore

    return ObjectStore.connect(settings)


@pytest.fixture
def own_farm(settings: Settings, tmp_path: Path) -> Iterator[AuditedFarm]:
    """A farm of the test's own, worked by hand, where an audit may look at everything."""
    from auditing import AuditedFarm

    made = AuditedFarm(settings, tmp_path)
    yield made
    made.auditor.close()


@pytest.fixture
def start_worker(settings: Settings, redis_client: redis.Redis, tmp_path: Path) -> Iterator[StartWorker]:
    """Start a real worker on this test's prefix and wait until it is ready; all are ended after the test."""
    started: list[WorkerProcess] = []
    workers_key = RedisKeys(settings.redis_prefix).workers()

    def start(
        engine: str = "tone", env: Mapping[str, str] | None = None, role: str = "all", *, is_awaited: bool = True
    ) -> WorkerProcess:
        folder = tmp_path / f"worker-{len(started)}"
        folder.mkdir()
        environment = {
            **os.environ,
            "CHATTERQUEUE_ENGINE": engine,
            "CHATTERQUEUE_HEARTBEAT_DIR": str(folder / "heartbeat"),
            "CHATTERQUEUE_CACHE_DIR": str(folder / "cache"),
            **(env or {}),
        }
        known = set(redis_client.hkeys(workers_key))
        worker = WorkerProcess(environment, folder / "worker.log", role)
        started.append(worker)
        if is_awaited:
            worker.wait_until_ready(redis_client, workers_key, known)
        return worker

    yield start
    for worker in started:
        worker.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Show the logs of a failed test's workers below it."""
    report = yield
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if report.when == "call" and report.failed and folder is not None and "start_worker" in item.fixturenames:
        for log in sorted(Path(folder).glob("worker-*/worker.log")):
            report.sections.append((f"log of {log.parent.name}", log.read_text("utf-8", errors="replace")[-6000:]))
    return report
