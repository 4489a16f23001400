"""Every error that either side may raise, with its wire code and exit code.

ChatterqueueError
├── InvalidInputError            what the user handed in cannot be narrated
│   ├── InvalidNarrationError    one narration, every fault named
│   ├── InvalidBatchError        a set of narrations, every faulty line named; nothing was queued
│   ├── InvalidVoiceError        reference audio that cannot be a voice
│   ├── InvalidCoverError        a picture that cannot be a cover
│   ├── VoiceForbiddenError      a voice without a note of consent
│   ├── TooManyVoicesError       a narration that names more voices than fit
│   ├── InvalidDictionaryError   a pronunciation dictionary, every faulty rule named
│   ├── UnreadableInputError     a file that is not there, not UTF-8, not text
│   └── OutputPathError          a place the result cannot be written to
├── NotFoundError
│   ├── NarrationNotFoundError
│   ├── UnknownVoiceError
│   ├── UnknownCoverError
│   └── UnknownDictionaryError
├── IdempotencyConflictError     the key is taken by a narration with other content
├── RetryRefusedError            asked to take up again what is under way or whole
├── RedoRefusedError             asked to speak segments once more of what has no audio, or segments that it has not
├── NarrationUnfinishedError     asked for the result of a narration that has none (yet)
├── NarrationFailedError         a narration ended as partial, failed, cancelled or expired
├── WaitTimeoutError             it did not end in the time that `wait` was given
├── QueueUnavailableError        Redis is down, frozen, full or refuses us
│   └── QueueFullError           it has no room for what was to be handed in; nothing was queued
├── StorageUnavailableError      the S3 server is down, frozen or refuses us
├── SettingsError                the environment is wrong, all faults in one message
├── StackError                   the embedded stack could not start
└── MalformedMessageError        a stored record that this version cannot read

Arguments are positional and JSON-plain and go unchanged to `super().__init__`; the text is built in `__str__`.
Otherwise an error that crosses pickle or Celery's JSON comes back as a bare `Exception`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

from producer.contract.exitcode import ExitCode
from producer.contract.fault import Fault


class ChatterqueueError(Exception):
    """Base of all our errors."""

    code: ClassVar[str] = "error"
    is_retryable: ClassVar[bool] = False
    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL

    def to_dict(self) -> dict[str, Any]:
        """Return the error as the command line prints it with `--json`."""
        return {"code": self.code, "message": str(self), "is_retryable": self.is_retryable}


class InvalidInputError(ChatterqueueError):
    """What was handed in cannot be used; nothing was queued."""

    code = "invalid_input"
    exit_code = ExitCode.INVALID_INPUT


class _FaultsError(InvalidInputError):
    """Carries a list of faults as plain dictionaries, so that it survives JSON."""

    heading: ClassVar[str]

    def __init__(self, faults: list[dict[str, Any]]) -> None:
        super().__init__(faults)

    @classmethod
    def of(cls, faults: list[Fault]) -> _FaultsError:
        """Build the error from `Fault` objects."""
        return cls([asdict(fault) for fault in faults])

    @property
    def faults(self) -> list[Fault]:
        """The faults, one for each thing to mend."""
        return [Fault(**fault) for fault in self.args[0]]

    def __str__(self) -> str:
        faults = self.faults
        if len(faults) == 1:
            return f"{self.heading}: {faults[0]}"
        return "\n".join([f"{self.heading}, {len(faults)} faults:", *(f"  {fault}" for fault in faults)])

    def to_dict(self) -> dict[str, Any]:
        """Return the error with its list of faults."""
        return {**super().to_dict(), "faults": self.args[0]}


class InvalidNarrationError(_FaultsError):
    """A narration that cannot be accepted; `faults` names each field."""

    code = "invalid_narration"
    heading = "the narration was refused"


class InvalidBatchError(_FaultsError):
    """A set of narrations with at least one that cannot be accepted; nothing was queued."""

    code = "invalid_batch"
    heading = "nothing was queued: the set was refused"


class InvalidVoiceError(_FaultsError):
    """Reference audio or a voice name that cannot be accepted; nothing was stored."""

    code = "invalid_voice"
    heading = "the voice was refused"


class InvalidCoverError(_FaultsError):
    """A picture that cannot be a cover; nothing was stored."""

    code = "invalid_cover"
    heading = "the cover was refused"


class VoiceForbiddenError(InvalidInputError):
    """A voice whose record, made by other means than `voices add`, holds no note of consent. Argument: the name."""

    code = "voice_forbidden"

    def __init__(self, name: str) -> None:
        super().__init__(name)

    def __str__(self) -> str:
        return f"voice {self.args[0]!r} has no note of consent: add it again, with `--consent`"


class TooManyVoicesError(InvalidInputError):
    """A narration that names more voices than fit. Argument: how many fit."""

    code = "voices_too_many"

    def __init__(self, max_voices: int) -> None:
        super().__init__(max_voices)

    def __str__(self) -> str:
        return f"names more than {self.args[0]} voices"


class InvalidDictionaryError(_FaultsError):
    """A pronunciation dictionary that cannot be accepted; nothing was stored."""

    code = "invalid_dictionary"
    heading = "the dictionary was refused"


class UnreadableInputError(InvalidInputError):
    """An input file that cannot be read as text. Arguments: path, code of the reason, sentence."""

    def __init__(self, path: str, reason_code: str, reason: str) -> None:
        super().__init__(path, reason_code, reason)

    @property
    def code(self) -> str:  # type: ignore[override]
        """The reason's own code: `text_encoding`, `text_binary`, `file_missing`, ..."""
        return str(self.args[1])

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.args[2]} [{self.args[1]}]"


class OutputPathError(InvalidInputError):
    """A place that the result cannot be written to. Arguments: path, sentence."""

    code = "output_path"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)

    def __str__(self) -> str:
        return f"cannot write to {self.args[0]}: {self.args[1]}"


class NotFoundError(ChatterqueueError):
    """Something that was asked for by name is not there."""

    code = "not_found"
    exit_code = ExitCode.NOT_FOUND


class NarrationNotFoundError(NotFoundError):
    """No narration has this id. Argument: the id."""

    code = "narration_not_found"

    def __init__(self, narration_id: str) -> None:
        super().__init__(narration_id)

    def __str__(self) -> str:
        return f"no narration {self.args[0]!r}: the id is wrong, or its record has expired"


class UnknownVoiceError(NotFoundError):
    """No voices have these names. Arguments: the names."""

    code = "voice_unknown"

    def __init__(self, *names: str) -> None:
        super().__init__(*names)

    @property
    def names(self) -> tuple[str, ...]:
        """All the names that are not known."""
        return self.args

    def __str__(self) -> str:
        names = ", ".join(map(repr, self.names))
        return f"no voice {names}: add it with `chatterqueue voices add`, or see `chatterqueue voices list`"


class UnknownCoverError(NotFoundError):
    """No cover has this hash. Argument: the hash."""

    code = "cover_unknown"

    def __init__(self, sha256: str) -> None:
        super().__init__(sha256)

    def __str__(self) -> str:
        return f"no cover {self.args[0]}: `Client.add_cover` stores one and returns its hash"


class UnknownDictionaryError(NotFoundError):
    """No pronunciation dictionary has this name. Argument: the name."""

    code = "dictionary_unknown"

    def __init__(self, name: str) -> None:
        super().__init__(name)

    def __str__(self) -> str:
        return (
            f"no dictionary {self.args[0]!r}: add it with `chatterqueue dictionaries add`, "
            "or see `chatterqueue dictionaries list`"
        )


class IdempotencyConflictError(ChatterqueueError):
    """The idempotency key was used before for other content. Arguments: key, narration id."""

    code = "idempotency_conflict"
    exit_code = ExitCode.CONFLICT

    def __init__(self, key: str, narration_id: str) -> None:
        super().__init__(key, narration_id)

    def __str__(self) -> str:
        return (
            f"idempotency key {self.args[0]!r} belongs to narration {self.args[1]} with other content; "
            "use another key, or submit the same content again"
        )


class RetryRefusedError(ChatterqueueError):
    """A narration that cannot be taken up again; nothing was queued. Arguments: id, state."""

    code = "retry_refused"
    exit_code = ExitCode.INVALID_INPUT

    def __init__(self, narration_id: str, state: str) -> None:
        super().__init__(narration_id, state)

    def __str__(self) -> str:
        return (
            f"narration {self.args[0]} is {self.args[1]}; only one that ended as partial, failed, cancelled or expired "
            "can be taken up again"
        )


class RedoRefusedError(ChatterqueueError):
    """Segments that cannot be spoken once more; nothing was queued. Arguments: id, why."""

    code = "redo_refused"
    exit_code = ExitCode.INVALID_INPUT

    def __init__(self, narration_id: str, reason: str) -> None:
        super().__init__(narration_id, reason)

    def __str__(self) -> str:
        return f"narration {self.args[0]} cannot be redone: {self.args[1]}"


class NarrationUnfinishedError(ChatterqueueError):
    """The result of a narration was asked for before there is one. Arguments: id, state."""

    code = "narration_unfinished"
    exit_code = ExitCode.NOT_SUCCEEDED
    is_retryable = True

    def __init__(self, narration_id: str, state: str) -> None:
        super().__init__(narration_id, state)

    def __str__(self) -> str:
        return f"narration {self.args[0]} is {self.args[1]} and has no audio to fetch"


class NarrationFailedError(ChatterqueueError):
    """A narration ended without being whole. Arguments: id, state, reason code, sentence."""

    code = "narration_failed"
    exit_code = ExitCode.NOT_SUCCEEDED

    def __init__(self, narration_id: str, state: str, reason_code: str, reason: str) -> None:
        super().__init__(narration_id, state, reason_code, reason)

    def __str__(self) -> str:
        _, state, reason_code, reason = self.args
        detail = f": {reason} [{reason_code}]" if reason_code else ""
        return f"narration {self.args[0]} ended as {state}{detail}"


class WaitTimeoutError(ChatterqueueError):
    """A narration was still under way when the time to wait was over. Arguments: id, state, seconds."""

    code = "wait_timeout"
    exit_code = ExitCode.TIMEOUT
    is_retryable = True

    def __init__(self, narration_id: str, state: str, waited_s: float) -> None:
        super().__init__(narration_id, state, waited_s)

    def __str__(self) -> str:
        return f"narration {self.args[0]} is still {self.args[1]} after {self.args[2]:g} s; it goes on, nothing is lost"


class _ServiceError(ChatterqueueError):
    """A service that cannot be used now. Arguments: address without credentials, reason."""

    exit_code = ExitCode.UNAVAILABLE
    is_retryable = True
    service: ClassVar[str]
    remedy: ClassVar[str]

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)

    def __str__(self) -> str:
        return f"{self.service} at {self.args[0]} cannot be used: {self.args[1]}; {self.remedy}"


class QueueUnavailableError(_ServiceError):
    """Redis does not answer, is full, or refuses us."""

    code = "queue_unavailable"
    service = "Redis"
    remedy = "check CHATTERQUEUE_REDIS_URL and `chatterqueue doctor`; what was accepted before is kept"


class QueueFullError(QueueUnavailableError):
    """Redis has no room for what was to be handed in; nothing was stored or queued. Try again later, or wait."""

    code = "queue_full"
    remedy = "try again later, wait for room, delete what is not needed, or raise its maxmemory"


class StorageUnavailableError(_ServiceError):
    """The S3 server does not answer, or refuses us."""

    code = "storage_unavailable"
    service = "S3"
    remedy = "check CHATTERQUEUE_S3_ENDPOINT_URL, CHATTERQUEUE_S3_BUCKET, the credentials and `chatterqueue doctor`"


class SettingsError(ChatterqueueError):
    """The environment holds settings that cannot be used. Argument: one sentence for each fault."""

    code = "settings"
    exit_code = ExitCode.CONFIGURATION

    def __init__(self, faults: list[str]) -> None:
        super().__init__(faults)

    def __str__(self) -> str:
        return "\n".join(["the settings cannot be used:", *(f"  {fault}" for fault in self.args[0])])


class StackError(ChatterqueueError):
    """The embedded stack could not start or stop. Arguments: which part, reason."""

    code = "stack"
    exit_code = ExitCode.CONFIGURATION

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(part, reason)

    def __str__(self) -> str:
        return f"the embedded stack's {self.args[0]} failed: {self.args[1]}"


class MalformedMessageError(ChatterqueueError):
    """A stored record or a message that this version cannot read. Arguments: what it is, reason."""

    code = "malformed_message"

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)

    def __str__(self) -> str:
        return f"{self.args[0]} cannot be read: {self.args[1]}"
