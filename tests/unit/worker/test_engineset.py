from __future__ import annotations

import pytest
from workerfakes import FakeEngine

from producer.contract.narration import EngineName
from worker.engineset import EngineSet
from worker.errors import EngineUnavailableError, WorkerStartError


class Draft(FakeEngine):
    name = EngineName.DRAFT


def test_auto_is_the_primary_engine():
    primary = FakeEngine()
    assert EngineSet(primary, {}).get(EngineName.AUTO) is primary


def test_a_small_engine_is_loaded_once_when_it_is_asked_for():
    made: list[Draft] = []

    def make() -> Draft:
        made.append(Draft())
        return made[-1]

    engines = EngineSet(FakeEngine(), {EngineName.DRAFT: make})
    assert made == []
    assert engines.get(EngineName.DRAFT) is engines.get(EngineName.DRAFT)
    assert len(made) == 1


def test_an_engine_that_is_not_here_is_named():
    with pytest.raises(EngineUnavailableError, match="chatterbox"):
        EngineSet(FakeEngine(), {}).get(EngineName.CHATTERBOX)


def test_a_small_engine_that_cannot_be_loaded_is_not_tried_again():
    tries = []

    def make():
        tries.append(1)
        raise WorkerStartError("hibari is not installed")

    engines = EngineSet(FakeEngine(), {EngineName.DRAFT: make})
    for _ in range(2):
        with pytest.raises(EngineUnavailableError):
            engines.get(EngineName.DRAFT)
    assert len(tries) == 1


def test_a_worker_without_engines_is_healthy_and_has_none():
    engines = EngineSet(None, {})
    engines.load_primary()
    assert engines.health().is_ready
    with pytest.raises(EngineUnavailableError):
        engines.get(EngineName.AUTO)
