"""`python -m worker.supervisor`: starts this machine's worker processes and replaces those that die.

It never loads a model or torch, so that nothing that breaks a worker breaks it. Exit status: 0 after a SIGTERM or
SIGINT that all processes followed; 8 if a process says that it can never start (settings, models), with no second
try, or if too many in a row never became ready; 1 if a process had to be killed at the end.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Final

from producer.contract.errors import SettingsError
from producer.contract.exitcode import ExitCode
from producer.contract.routing import Role
from worker.gpus import visible_gpus
from worker.logs import configure_logging
from worker.parent import PARENT_VARIABLE, die_with_parent
from worker.pulse import Pulse, clear_dead, pulse_path
from worker.settings import WorkerSettings
from worker.slots import Slot, slots_for

logger = logging.getLogger(__name__)

#: Seconds before a process that died is started again, doubled for each further death up to the longest.
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0

#: Deaths in a row from which each is logged as critical; it goes on being started, so that it heals by itself.
ALARMING_DEATHS: Final = 5

#: Seconds after which a process counts as healthy, and its next death as the first.
HEALTHY_S: Final = 60.0

#: Seconds beyond the drain after which a process that does not end is killed.
KILL_AFTER_DRAIN_S: Final = 15.0

#: Seconds that a new process waits for what the old one has left: an engine process without its worker process ends
#: at once, but until it is gone it holds the GPU's memory, and the new one would find no room.
LEFT_S: Final = 5.0

_TICK_S: Final = 0.2


def restart_wait_s(num_deaths: int) -> float:
    """Return the wait after that many deaths in a row; a random part of it, so that machines spread out."""
    return min(FIRST_WAIT_S * 2.0 ** min(num_deaths - 1, 30), LONGEST_WAIT_S) * random.uniform(0.5, 1.0)


class Supervisor:
    """Keeps a process in every slot until it is told to stop."""

    def __init__(
        self,
        slots: Sequence[Slot],
        settings: WorkerSettings,
        environment: Mapping[str, str],
        *,
        max_failed_starts: int | None = None,
    ) -> None:
        """Take what is to be kept running.

        Args:
            slots: one for each process.
            settings: of this machine's workers.
            environment: of the processes, beside what their slot adds.
            max_failed_starts: processes of a slot that may end in a row without having been ready; None: any number,
                for a farm, which heals by itself when whatever was wrong with the machine is mended.
        """
        self._slots = slots
        self._settings = settings
        self._environment = dict(environment)
        self._max_failed_starts = max_failed_starts
        self._is_stopping = False

    def run(self) -> int:
        """Work until a signal ends it; return the exit status."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        clear_dead(self._settings.heartbeat_dir)
        logger.info("supervisor_started", extra={"slots": ",".join(slot.name for slot in self._slots)})
        while not self._is_stopping:
            for slot in self._slots:
                status = self._tend(slot)
                why = None if status is None else self._why_give_up(slot, status)
                if why is not None:
                    logger.critical("supervisor_gives_up", extra={"slot": slot.name, "why": why})
                    self._stop_all()
                    return ExitCode.CONFIGURATION
            time.sleep(_TICK_S)
        return self._stop_all()

    def _why_give_up(self, slot: Slot, status: int) -> str | None:
        """Return why another process makes no sense after one that ended with this status, or None."""
        if status == ExitCode.CONFIGURATION:
            return "see worker_cannot_start"
        if self._max_failed_starts is not None and slot.num_failed_starts >= self._max_failed_starts:
            return f"{slot.num_failed_starts} processes in a row ended before they were ready"
        return None

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._is_stopping = True

    def _tend(self, slot: Slot) -> int | None:
        """Start the slot's process if it is due; return the exit status of one that has just ended."""
        now_s = time.monotonic()
        if slot.process is None:
            if now_s >= slot.due_s and not (_is_left(slot.left_group) and now_s < slot.due_s + LEFT_S):
                self._start(slot)
            return None
        status = slot.process.poll()
        if status is None:
            self._look_at_pulse(slot, slot.process)
            return None
        slot.num_failed_starts = 0 if slot.was_ready else slot.num_failed_starts + 1
        lived_s = now_s - slot.started_s
        slot.left_group, slot.process = slot.process.pid, None
        slot.num_deaths = 1 if lived_s >= HEALTHY_S else slot.num_deaths + 1
        wait_s = restart_wait_s(slot.num_deaths)
        slot.due_s = now_s + wait_s
        fields = {"slot": slot.name, "status": status, "lived_s": round(lived_s, 1), "wait_s": round(wait_s, 1)}
        # No message can do this (`worker.intake`): it is the machine, the settings or the code, and needs somebody.
        level = logging.CRITICAL if slot.num_deaths >= ALARMING_DEATHS else logging.WARNING
        logger.log(level, "process_ended", extra={**fields, "num_deaths": slot.num_deaths})
        return status

    def _look_at_pulse(self, slot: Slot, process: subprocess.Popen[bytes]) -> None:
        """Note that a process is ready, and kill one whose engine hangs: nothing inside it can.

        Not by SIGTERM: a drain would refund the attempt, and what made the engine hang would come back for ever.
        """
        try:
            pulse = Pulse.from_json(pulse_path(self._settings.heartbeat_dir, slot.name).read_bytes())
        except (OSError, ValueError):
            return
        if pulse.pid != process.pid:
            return
        slot.was_ready = slot.was_ready or pulse.is_ready
        if pulse.stalled_s > self._settings.stalled_after_s:
            logger.critical("process_stuck", extra={"slot": slot.name, "stalled_s": pulse.stalled_s})
            process.kill()

    def _start(self, slot: Slot) -> None:
        slot.process = subprocess.Popen(
            [sys.executable, "-m", "worker"],
            env={
                **self._environment,
                **slot.environment,
                "CHATTERQUEUE_ROLE": slot.role.value,
                "CHATTERQUEUE_SLOT": slot.name,
                PARENT_VARIABLE: str(os.getpid()),
            },
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours to pass on, once
        )
        slot.started_s, slot.was_ready = time.monotonic(), False
        # Until the process writes its own: so the health check sees one that never gets that far.
        starting = Pulse(name=slot.name, pid=slot.process.pid, role=slot.role.value)
        starting.write(self._settings.heartbeat_dir, slot.name)
        logger.info("process_started", extra={"slot": slot.name, "pid": slot.process.pid})

    def _stop_all(self) -> int:
        """Have every process drain; kill what does not end. Return the exit status."""
        running = [slot for slot in self._slots if slot.process is not None and slot.process.poll() is None]
        logger.info("supervisor_stops", extra={"num_processes": len(running)})
        for slot in running:
            if slot.process is not None:
                slot.process.terminate()
        ends_s = time.monotonic() + self._settings.drain_s + KILL_AFTER_DRAIN_S
        status = ExitCode.OK
        for slot in running:
            if slot.process is None:
                continue
            try:
                slot.process.wait(max(0.1, ends_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.critical("process_killed", extra={"slot": slot.name})
                slot.process.kill()
                slot.process.wait()
                status = ExitCode.INTERNAL
        clear_dead(self._settings.heartbeat_dir)
        return status


def _is_left(group: int | None) -> bool:
    """Say whether a process group has members: each of our processes leads one, and what it starts is in it."""
    if group is None:
        return False
    try:
        os.killpg(group, 0)  # asks, and sends nothing
    except OSError:
        return False
    return True


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m worker.supervisor", description=__doc__)
    parser.add_argument(
        "--role", choices=[role.value for role in Role], help="which queues to read (CHATTERQUEUE_ROLE)"
    )
    parser.add_argument("--gpus", help="GPUs to use, as CUDA numbers them: 0,1; all that are there if not given")
    parser.add_argument(
        "--max-failed-starts", type=int, help="give up after so many processes in a row that never were ready"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the settings and supervise; return the exit status."""
    arguments = _arguments(sys.argv[1:] if argv is None else argv)
    if PARENT_VARIABLE in os.environ:
        die_with_parent(int(os.environ[PARENT_VARIABLE]))
    try:
        settings = WorkerSettings.load(**({"role": arguments.role} if arguments.role else {}))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    configure_logging(settings.log_level)
    gpus = [gpu for gpu in arguments.gpus.split(",") if gpu] if arguments.gpus is not None else visible_gpus(os.environ)
    slots = slots_for(gpus, settings.role, settings.engine, num_cpu_processes=settings.cpu_processes)
    return Supervisor(slots, settings, os.environ, max_failed_starts=arguments.max_failed_starts).run()


if __name__ == "__main__":
    sys.exit(main())
