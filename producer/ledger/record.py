"""The record of a narration: the fields of its Redis hash, and what they say.

Knows nothing of how they get there: the scripts in `scripts/` write them, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from pydantic import ValidationError

from producer.contract.errors import MalformedMessageError
from producer.contract.manifest import AudioObject
from producer.contract.narration import SCHEMA_VERSION, AudioFormat, EngineName
from producer.contract.routing import Priority
from producer.contract.status import NarrationStatus, State
from producer.ledger.outcomes import NewNarration

_TEXTS: Final = (
    "id",
    "state",
    "custom_id",
    "batch_id",
    "retry_of",
    "redo_of",
    "title",
    "engine",
    "engine_identity",
    "voice",
    "language",
    "format",
    "priority",
    "reason_code",
    "reason",
)
_EVENTS: Final = ("created", "started", "deadline", "finished")
_COUNTS: Final = ("num_chars", "num_done", "num_failed", "num_reused", "num_flagged", "num_attempts")


@dataclass(frozen=True, slots=True)
class LedgerRecord:
    """Everything that the ledger knows of a narration, but for its single segments."""

    status: NarrationStatus
    #: Where the request lies in S3: a key, or `key#offset+length` for a slice of a pack.
    request_ref: str
    #: SHA-256 of everything that decides how the narration sounds.
    content_hash: str
    #: Calls with a stale token that were refused.
    num_rejected: int
    #: The finished audio; None until there is one.
    audio: AudioObject | None

    @property
    def narration_id(self) -> str:
        """The narration's id."""
        return self.status.id

    @property
    def state(self) -> State:
        """Where the narration stands."""
        return self.status.state

    @property
    def num_segments(self) -> int | None:
        """How many segments the text was split into; None until then."""
        return self.status.num_segments

    @property
    def engine(self) -> EngineName:
        """Which engine was asked for."""
        return EngineName(self.status.engine)

    @property
    def engine_identity(self) -> str | None:
        """Which model speaks; None until the first segment was claimed."""
        return self.status.engine_identity

    @property
    def priority(self) -> Priority:
        """Which lane its segments take."""
        return Priority(self.status.priority)

    @property
    def format(self) -> AudioFormat:
        """The container and codec of the finished audio."""
        return AudioFormat(self.status.format)

    @classmethod
    def from_fields(cls, narration_id: str, fields: Mapping[str, str]) -> Self:
        """Return the record that has these fields.

        Raises:
            MalformedMessageError: if this version cannot read it.
        """
        status = status_from_fields(narration_id, fields)
        try:
            return cls(
                status=status,
                request_ref=fields["request_ref"],
                content_hash=fields["content_hash"],
                num_rejected=int(fields.get("num_rejected", 0)),
                audio=AudioObject.model_validate_json(fields["audio"]) if "audio" in fields else None,
            )
        except (KeyError, ValueError) as error:
            raise _malformed(narration_id, error) from error


def fields_of(new: NewNarration) -> dict[str, str | int]:
    """Return what a fresh record says of a narration, beside what the script adds: id, state, time, content hash."""
    request = new.request
    narration = request.narration
    optional: dict[str, str | int | None] = {
        "batch_id": request.batch_id,
        "custom_id": narration.custom_id,
        "title": narration.title,
        "retry_of": request.retry_of,
        "redo_of": request.redo_of,
        "queue_timeout_ms": _milliseconds(narration.queue_timeout_s),
        "run_timeout_ms": _milliseconds(narration.run_timeout_s),
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "request_ref": new.request_ref,
        "engine": narration.engine.value,
        "voice": narration.voice,
        "language": narration.language,
        "format": narration.format.value,
        "priority": narration.priority.value,
        "num_chars": len(narration.text),
        **{field: value for field, value in optional.items() if value is not None},
    }


def status_from_fields(narration_id: str, fields: Mapping[str, str]) -> NarrationStatus:
    """Return the status that a record with these fields stands for.

    Raises:
        MalformedMessageError: if this version cannot read it.
    """
    try:
        version = int(fields["schema_version"])
        if version > SCHEMA_VERSION:
            reason = f"it has schema version {version}, this program reads up to {SCHEMA_VERSION}; update it"
            raise MalformedMessageError(_name_of(narration_id), reason)
        duration_ms = _number(fields, "duration_ms")
        values: dict[str, Any] = {
            "schema_version": version,
            **{name: fields.get(name) for name in _TEXTS},
            **{name: int(fields.get(name, 0)) for name in _COUNTS},
            "num_segments": _number(fields, "num_segments"),
            "audio_s": int(fields.get("audio_ms", 0)) / 1000,
            "engine_s": int(fields.get("engine_ms", 0)) / 1000,
            "duration_s": None if duration_ms is None else duration_ms / 1000,
            "size_bytes": _number(fields, "size_bytes"),
            **{f"{event}_at": _time(fields, f"{event}_ms") for event in _EVENTS},
        }
        return NarrationStatus.model_validate(values)
    except (KeyError, ValueError) as error:
        raise _malformed(narration_id, error) from error


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _number(fields: Mapping[str, str], name: str) -> int | None:
    return int(fields[name]) if name in fields else None


def _time(fields: Mapping[str, str], name: str) -> datetime | None:
    return datetime.fromtimestamp(int(fields[name]) / 1000, tz=UTC) if name in fields else None


def _malformed(narration_id: str, error: Exception) -> MalformedMessageError:
    if isinstance(error, ValidationError):
        names = ", ".join(".".join(str(part) for part in detail["loc"]) for detail in error.errors())
        return MalformedMessageError(_name_of(narration_id), f"unusable fields: {names}")
    return MalformedMessageError(_name_of(narration_id), f"{type(error).__name__}: {error}")


def _name_of(narration_id: str) -> str:
    return f"the record of narration {narration_id}"
