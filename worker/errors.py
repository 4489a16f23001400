"""Errors that only the worker raises; the tree continues that of `producer.contract.errors`.

ChatterqueueError
├── WorkerStartError            a process that must not take work: settings, models, watermark
│   ├── DeviceTooSmallError     the GPU has not enough free memory for one segment
│   ├── ModelLoadError          a checkpoint that is missing, cut short or of another model
│   │   ├── WeightsMissingError     files that a model needs are not there
│   │   ├── WeightsLockError        the lock file is missing, unreadable or of a newer version
│   │   ├── WeightsDamagedError     files that are not what the lock says, each one named
│   │   ├── UnsafeCheckpointError   a `.pt` file that holds more than tensors, or is cut short
│   │   ├── ContentMismatchError    the hub sent something else than it announced
│   │   ├── DiskSpaceError          not enough room, found before the first byte
│   │   └── FetchBusyError          somebody else is changing the folder
│   ├── HubUnavailableError     the hub cannot be reached or broke off; try again
│   ├── HubRefusedError         no such repository, revision or file there, or no permission
│   └── WatermarkError          the Perth watermark is not there or does not work
├── SynthesisError              one segment could not be spoken
│   ├── EngineUnavailableError  this worker does not run the engine or the model that the narration asks for
│   ├── LanguageUnsupportedError
│   ├── VoiceUnsupportedError   the engine has one voice only, or none without reference audio
│   ├── SegmentUnspeakableError the text of the segment gives no speech, or does not fit the model
│   ├── NoSpeechError           the model stopped before it spoke, with every seed that was tried
│   ├── NoEndOfSpeechError      the model did not stop, with every seed that was tried
│   ├── GpuMemoryError          the GPU's memory is full, even for this segment alone
│   └── EngineFaultError        the engine of this process is broken; only a new process mends it
├── RewritingError              the text cannot be made into what is said
│   ├── DictionaryTooSlowError  a rule of the pronunciation dictionary took too long
│   ├── DictionaryLimitError    a rule replaces too often, or by too much
│   ├── DictionaryRegexError    a rule that the worker's engine of regular expressions does not take
│   └── NothingToSayError       nothing was left that can be spoken
├── RedoImpossibleError         a segment that is not there, or words that cannot be spoken at once
├── VoiceDamagedError           reference audio in S3 that is not what its name says
├── VoiceMissingError           reference audio that is not in S3 any more
├── DrainingError               the process is going down; the item goes back with its attempt refunded
├── LeaseLostError              the item was cancelled or given to another worker while we held it
└── AssemblyError               the finished segments do not fit together
    ├── SpoolSpaceError         no room on the disk for the temporary file of an m4b
    └── SegmentsUnusableError   stored segments are gone or broken, and have to be spoken again
"""

from __future__ import annotations

from typing import Any

from producer.contract.errors import ChatterqueueError
from producer.contract.exitcode import ExitCode


class WorkerStartError(ChatterqueueError):
    """The process must not take work. Argument: what is wrong and what to do."""

    code = "worker_start"
    exit_code = ExitCode.CONFIGURATION

    def __init__(self, reason: str) -> None:
        super().__init__(reason)

    def __str__(self) -> str:
        return str(self.args[0])


class DeviceTooSmallError(WorkerStartError):
    """The GPU cannot hold what one segment needs. Arguments: bytes that are free, bytes that would do."""

    code = "device_too_small"

    def __init__(self, free_bytes: int, needed_bytes: int) -> None:
        Exception.__init__(self, free_bytes, needed_bytes)

    def __str__(self) -> str:
        free_bytes, needed_bytes = self.args
        return (
            f"one segment does not fit: the GPU has {free_bytes / 2**20:,.0f} MiB free and {needed_bytes / 2**20:,.0f} "
            f"MiB would do, {(needed_bytes - free_bytes) / 2**20:,.0f} more. Free some, use int8, or set "
            "CHATTERQUEUE_DEVICE=cpu"
        )


class ModelLoadError(WorkerStartError):
    """A checkpoint cannot be loaded. Argument: which file, what is wrong, what to do."""

    code = "model_load"


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


class WatermarkError(WorkerStartError):
    """The watermark is not there or does not work. Argument: what was found."""

    code = "watermark"


class SynthesisError(ChatterqueueError):
    """One segment could not be spoken. Argument: what happened, without the text."""

    code = "synthesis"
    is_retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(reason)

    def __str__(self) -> str:
        return str(self.args[0])


class EngineUnavailableError(SynthesisError):
    """This worker does not run what the narration asks for; another one may."""

    code = "engine_unavailable"


class LanguageUnsupportedError(SynthesisError, ValueError):
    """The engine does not speak this language. A ValueError too: chatterbox-tts raises one."""

    code = "language_unsupported"
    is_retryable = False


class VoiceUnsupportedError(SynthesisError):
    """The engine cannot speak with the voice that was asked for."""

    code = "voice_unsupported"
    is_retryable = False


class SegmentUnspeakableError(SynthesisError, ValueError):
    """The text or a parameter gives no speech, or does not fit the model; another attempt changes nothing."""

    code = "segment_unspeakable"
    is_retryable = False


class NoSpeechError(SynthesisError):
    """The model stopped before it spoke. The engine has tried other seeds; a retry would draw the same ones."""

    code = "no_speech"
    is_retryable = False


class NoEndOfSpeechError(SynthesisError):
    """The model reached its ceiling without an end: the speech is cut off or runs away.

    The engine has tried other seeds; a retry would draw the same ones.
    """

    code = "no_end_of_speech"
    is_retryable = False


class GpuMemoryError(SynthesisError):
    """The GPU's memory is full, even for this segment alone; later, or on another worker, there may be room."""

    code = "gpu_memory"


class EngineFaultError(SynthesisError):
    """The engine of this process is broken, as after a CUDA fault: give the segment back and end the process.

    Arguments: what happened; whether the segment had been begun. One that had not cannot be to blame.
    """

    code = "engine_fault"

    def __init__(self, reason: str, was_begun: bool = True) -> None:
        ChatterqueueError.__init__(self, reason, was_begun)

    @property
    def was_begun(self) -> bool:
        """Whether the segment may have to do with the fault."""
        return bool(self.args[1])


class RewritingError(ChatterqueueError):
    """The text cannot be made into what is said; another attempt changes nothing. Argument: what happened."""

    code = "rewriting"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)

    def __str__(self) -> str:
        return str(self.args[0])


class DictionaryTooSlowError(RewritingError):
    """A rule took too long, as an expression does that tries all ways to fail. Arguments: its number, seconds."""

    code = "dictionary_too_slow"

    def __init__(self, rule_number: int, limit_s: float) -> None:
        Exception.__init__(self, rule_number, limit_s)

    def __str__(self) -> str:
        return f"rule {self.args[0]} of the pronunciation dictionary was stopped: {self.args[1]:g} s were over"


class DictionaryLimitError(RewritingError):
    """A rule replaces too often, or by too much. Arguments: its number, what is exceeded."""

    code = "dictionary_limit"

    def __init__(self, rule_number: int, reason: str) -> None:
        Exception.__init__(self, rule_number, reason)

    def __str__(self) -> str:
        return f"rule {self.args[0]} of the pronunciation dictionary was stopped: {self.args[1]}"


class DictionaryRegexError(DictionaryLimitError):
    """A rule that cannot be compiled here. Arguments: its number, what the engine says."""

    code = "dictionary_regex"


class NothingToSayError(RewritingError):
    """No letter and no digit was left. Argument: after what."""

    code = "nothing_to_say"

    def __str__(self) -> str:
        return f"nothing is left to say after {self.args[0]}"


class RedoImpossibleError(ChatterqueueError):
    """A segment cannot be spoken once more as it was asked for. Arguments: its index, why."""

    code = "redo_impossible"

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(index, reason)

    def __str__(self) -> str:
        return f"segment {self.args[0]} cannot be spoken once more: {self.args[1]}"


class VoiceDamagedError(ChatterqueueError):
    """Reference audio that is not what its name says. Argument: the hash."""

    code = "voice_damaged"

    def __init__(self, sha256: str) -> None:
        super().__init__(sha256)

    def __str__(self) -> str:
        return f"the reference audio {self.args[0]} in S3 has another content than its name says; add the voice again"


class VoiceMissingError(ChatterqueueError):
    """Reference audio that a narration was accepted with and that is gone. Argument: the hash."""

    code = "voice_missing"

    def __init__(self, sha256: str) -> None:
        super().__init__(sha256)

    def __str__(self) -> str:
        return f"the reference audio {self.args[0]} is not in S3 any more; add the voice again and retry the narration"


class DrainingError(ChatterqueueError):
    """The process is going down; whoever waits gives the item back."""

    code = "draining"
    is_retryable = True


class LeaseLostError(ChatterqueueError):
    """The item is no longer ours: whatever came of it is dropped. Arguments: narration id, item."""

    code = "lease_lost"

    def __init__(self, narration_id: str, item: str) -> None:
        super().__init__(narration_id, item)

    def __str__(self) -> str:
        return f"item {self.args[1]} of narration {self.args[0]} is no longer ours"


class AssemblyError(ChatterqueueError):
    """The finished segments do not fit together. Argument: what was found."""

    code = "assembly"
    is_retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(reason)

    def __str__(self) -> str:
        return str(self.args[0])


class SpoolSpaceError(AssemblyError):
    """The temporary file of an m4b has no room here. Arguments: folder, bytes needed, bytes free or why it failed."""

    code = "spool_space"

    def __init__(self, folder: str, needed_bytes: int, free: int | str) -> None:
        ChatterqueueError.__init__(self, folder, needed_bytes, free)

    def __str__(self) -> str:
        folder, needed_bytes, free = self.args
        found = free if isinstance(free, str) else f"{free / 2**20:,.0f} MiB are free"
        return (
            f"the temporary file needs {needed_bytes / 2**20:,.0f} MiB in {folder} and {found}; make room, or set "
            "TMPDIR to a larger disk"
        )


class SegmentsUnusableError(AssemblyError):
    """Stored segments are gone or broken. Arguments: what was found, the indexes of all such segments."""

    code = "segments_unusable"

    def __init__(self, reason: str, indexes: list[int]) -> None:
        ChatterqueueError.__init__(self, reason, indexes)

    @property
    def indexes(self) -> list[int]:
        """The segments that have to be spoken again, ascending."""
        return list(self.args[1])
