"""What can be wrong with a folder of weights; the tree continues that of `worker.errors`.

ModelLoadError
├── WeightsMissingError      files that a model needs are not there
├── WeightsLockError         the lock file is missing, unreadable or of a newer version
├── WeightsDamagedError      files that are not what the lock says, each one named
├── UnsafeCheckpointError    a `.pt` file that holds more than tensors, or is cut short
├── ContentMismatchError     the hub sent something else than it announced
├── DiskSpaceError           not enough room, found before the first byte
└── FetchBusyError           somebody else is changing the folder
WorkerStartError
├── HubUnavailableError      the hub cannot be reached or broke off; try again
└── HubRefusedError          no such repository, revision or file there, or no permission
"""

from __future__ import annotations

from typing import Any

from producer.contract.errors import ExitCode
from worker.errors import ModelLoadError, WorkerStartError


class WeightsMissingError(ModelLoadError):
    """Files that a model needs are not there. Argument: which, and what to do."""

    code = "weights_missing"


class WeightsLockError(ModelLoadError):
    """The lock file cannot be used. Argument: where, why, what to do."""

    code = "weights_lock"


class WeightsDamagedError(ModelLoadError):
    """Files that are not what the lock says. Arguments: folder, one {file, code, message} for each."""

    code = "weights_damaged"

    def __init__(self, model_dir: str, problems: list[dict[str, str]]) -> None:
        Exception.__init__(self, model_dir, problems)

    @property
    def problems(self) -> list[dict[str, str]]:
        """One {file, code, message} for each file that was refused."""
        return list(self.args[1])

    def __str__(self) -> str:
        lines = [f"  {problem['file']}: {problem['message']} [{problem['code']}]" for problem in self.problems]
        remedy = "  `chatterqueue models fetch` replaces what is wrong and keeps the rest"
        return "\n".join([f"the weights in {self.args[0]} were refused:", *lines, remedy])

    def to_dict(self) -> dict[str, Any]:
        """Return the error with its list of problems."""
        return {**super().to_dict(), "problems": self.problems}


class UnsafeCheckpointError(ModelLoadError):
    """A `.pt` file was refused; nothing in it was run. Arguments: path, what was found."""

    code = "checkpoint_unsafe"

    def __init__(self, path: str, reason: str) -> None:
        Exception.__init__(self, path, reason)

    def __str__(self) -> str:
        return f"{self.args[0]} was refused, and nothing in it was run: {self.args[1]}"


class ContentMismatchError(ModelLoadError):
    """The hub sent something else than it announced. Argument: which file, what was kept."""

    code = "weights_mismatch"


class DiskSpaceError(ModelLoadError):
    """There is not enough room. Argument: where, how much is needed, how much is there."""

    code = "disk_space"


class FetchBusyError(ModelLoadError):
    """Another process is changing the folder. Argument: which folder."""

    code = "fetch_busy"
    is_retryable = True


class HubUnavailableError(WorkerStartError):
    """The hub cannot be reached, or broke off. Argument: which, why, what was kept."""

    code = "hub_unavailable"
    exit_code = ExitCode.UNAVAILABLE
    is_retryable = True


class HubRefusedError(WorkerStartError):
    """The hub has no such repository, revision or file, or does not let us have it. Argument: what it said."""

    code = "hub_refused"
