"""The processes of one machine: those that speak, and those that split and assemble."""

from __future__ import annotations

import json
import signal

import pytest
from narrating import Farm, sentences
from processes import send_signal, wait_for
from small_checkpoint import BOTH, cached_checkpoint

from producer.contract.narration import EngineName, Narration
from producer.contract.settings import Settings
from producer.contract.status import State
from producer.workers import live_workers

pytestmark = pytest.mark.integration

#: Seconds for a worker on a busy machine to import torch and speak once, and for the narrations.
START_S = 200.0


@pytest.mark.slow
def test_where_there_is_a_gpu_others_split_and_assemble(settings: Settings, start_worker) -> None:
    """The engine computes on the CPU; what counts is that a GPU is said to be there."""
    farm = Farm(settings)
    ids = farm.submit(
        *(Narration(text=f"Number {number} is spoken.", engine=EngineName.CHATTERBOX) for number in range(3))
    )
    variables = {
        "CHATTERQUEUE_MODEL_DIR": str(cached_checkpoint(BOTH)),
        "CHATTERQUEUE_DEVICE": "cpu",
        "CHATTERQUEUE_NUM_THREADS": "1",
        "CHATTERQUEUE_MAX_RETAKES": "0",  # random weights babble, and would do so again
        "CHATTERQUEUE_CPU_PROCESSES": "2",
        "CUDA_VISIBLE_DEVICES": "0",
    }

    start_worker("chatterbox", variables, is_awaited=False)

    assert [farm.wait(narration_id, START_S).state for narration_id in ids] == [State.SUCCEEDED] * len(ids)
    roles = {worker.name: worker.role for worker in live_workers(farm.redis, settings)}
    assert sorted(roles.values()) == ["cpu", "cpu", "gpu"]
    claims = [json.loads(line) for narration_id in ids for line in farm.takes_log(narration_id)]
    done_by = {(claim["item"], roles[claim["worker"]]) for claim in claims if claim["event"] == "claimed"}
    assert done_by == {("plan", "cpu"), ("assemble", "cpu"), ("0", "gpu")}


def test_a_cpu_process_that_dies_leaves_nothing_undone(settings: Settings, start_worker) -> None:
    """Another one is started, and what it had begun is begun again."""
    farm = Farm(settings)
    worker = start_worker(role="cpu", env={"CHATTERQUEUE_CPU_PROCESSES": "2"})
    wait_for(lambda: len(live_workers(farm.redis, settings)) == 2, "both processes are ready")
    (one, _) = live_workers(farm.redis, settings)
    start_worker("tone", role="gpu")
    ids = farm.submit(*(Narration(text=sentences(5), engine=EngineName.TONE) for _ in range(20)))
    send_signal(int(one.name.rpartition(":")[2]), signal.SIGKILL)

    assert {farm.wait(narration_id).state for narration_id in ids} == {State.SUCCEEDED}
    wait_for(lambda: worker.log().count("process_started") == 3, "a third process was started")
