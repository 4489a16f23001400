from __future__ import annotations

import pytest

from producer.contract.narration import EngineName
from producer.contract.routing import Role
from worker.slots import CORES_PER_CPU_PROCESS, slots_for


@pytest.mark.parametrize(
    ("gpus", "role", "engine", "roles"),
    [
        (["0", "1"], Role.ALL, EngineName.CHATTERBOX, ["gpu", "gpu", "cpu", "cpu", "cpu"]),
        (["0", "1"], Role.GPU, EngineName.AUTO, ["gpu", "gpu"]),
        (["0", "1"], Role.CPU, EngineName.AUTO, ["cpu", "cpu", "cpu"]),
        ([], Role.CPU, EngineName.AUTO, ["cpu", "cpu", "cpu"]),
        (["0", "1"], Role.ALL, EngineName.DRAFT, ["all"]),
        ([], Role.ALL, EngineName.AUTO, ["all"]),
        ([], Role.GPU, EngineName.CHATTERBOX, ["gpu"]),
    ],
)
def test_a_process_that_feeds_a_gpu_does_nothing_else(gpus, role, engine, roles):
    slots = slots_for(gpus, role, engine, num_cpu_processes=3)
    assert [slot.role for slot in slots] == roles
    assert len({slot.name for slot in slots}) == len(slots)


def test_each_gpu_is_that_of_one_process():
    slots = slots_for(["2", "3"], Role.GPU, EngineName.AUTO, num_cpu_processes=None)
    assert [slot.environment for slot in slots] == [{"CUDA_VISIBLE_DEVICES": "2"}, {"CUDA_VISIBLE_DEVICES": "3"}]


@pytest.mark.parametrize(("num_cores", "num_processes"), [(None, 1), (2, 1), (16, 16 // CORES_PER_CPU_PROCESS)])
def test_the_cores_say_how_many_processes_split_and_assemble(num_cores, num_processes, monkeypatch):
    monkeypatch.setattr("worker.slots.os.cpu_count", lambda: num_cores)
    assert len(slots_for([], Role.CPU, EngineName.AUTO, num_cpu_processes=None)) == num_processes
