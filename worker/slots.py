"""The places for worker processes on this machine: one for each GPU, and some for the work that needs none.

Knows nothing of how a process is started, watched or ended.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from producer.contract.narration import EngineName
from producer.contract.routing import Role

#: Cores for each process that splits and assembles, if nobody says how many there are to be. One interpreter keeps
#: up to three cores busy, and assembles twice of what a GPU speaks; engines and servers want some cores too.
CORES_PER_CPU_PROCESS: Final = 4


@dataclass(slots=True)
class Slot:
    """One place for a process: a GPU, or the CPU."""

    name: str
    role: Role
    #: What its process gets beside our own environment.
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    num_deaths: int = 0
    #: Whether the process has taken work, or could have.
    was_ready: bool = False
    #: Processes in a row that ended without having been ready.
    num_failed_starts: int = 0
    #: When the next process may be started.
    due_s: float = field(default=0.0)
    #: Process group of the last process that has ended, for as long as something may be left of it.
    left_group: int | None = None


def slots_for(gpus: Sequence[str], role: Role, engine: EngineName, *, num_cpu_processes: int | None) -> list[Slot]:
    """Return the slots of this machine.

    Where there are GPUs, those who speak do nothing else: splitting and assembling take an interpreter for seconds,
    and theirs has a GPU to feed. Without one a single process does everything.

    Args:
        gpus: as CUDA_VISIBLE_DEVICES names them.
        role: of this machine.
        engine: the one that is wanted; not all can use a GPU.
        num_cpu_processes: that split and assemble; None: a share of the cores.
    """
    prefix = str(os.getpid())
    has_gpus = bool(gpus) and engine in (EngineName.AUTO, EngineName.CHATTERBOX)
    if role is not Role.CPU and not has_gpus:
        return [Slot(f"{prefix}-cpu", role, {})]
    speaking = [Slot(f"{prefix}-gpu{gpu}", Role.GPU, {"CUDA_VISIBLE_DEVICES": gpu}) for gpu in gpus]
    num_cpu_processes = num_cpu_processes or max(1, (os.cpu_count() or 1) // CORES_PER_CPU_PROCESS)
    others = [Slot(f"{prefix}-cpu{number}", Role.CPU, {}) for number in range(num_cpu_processes)]
    return [*(speaking if role is not Role.CPU else ()), *(others if role is not Role.GPU else ())]
