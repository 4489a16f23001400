"""The register of voices: `voices/<name>.json` beside the reference audio `voices/<sha256>.wav`, both in S3.

Knows nothing of how a recording is checked. Removing a voice removes its record and keeps its audio: other voices
and narrations under way may use it, and it is named by its content.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from producer.contract import keys
from producer.contract.errors import InvalidVoiceError, MalformedMessageError, UnknownVoiceError, VoiceForbiddenError
from producer.contract.fault import Fault
from producer.contract.narration import DEFAULT_VOICE, VOICE_NAME
from producer.contract.voice import Voice
from producer.recording import Recording
from producer.storage import ObjectNotFoundError, ObjectStore

#: Seconds for which a voice's record is taken as read; a voice that was replaced is heard after that.
CACHE_S: Final = 30.0

_RECORD_KEY: Final = re.compile(r"voices/(?P<name>[^/]+)\.json")


class VoiceRegister:
    """Looks voices up and changes the register."""

    def __init__(self, store: ObjectStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._cache: dict[str, tuple[float, Voice]] = {}

    def sha256_of(self, name: str) -> str | None:
        """Return the hash of a voice's reference audio; None for the voice that the engine brings along.

        Raises:
            UnknownVoiceError: no voice has this name.
            VoiceForbiddenError: nobody has agreed to its use.
            StorageUnavailableError: S3 cannot be asked.
        """
        return None if name == DEFAULT_VOICE else self.get(name).sha256

    def get(self, name: str) -> Voice:
        """Return a voice's record, read from S3 at most once in `CACHE_S` seconds.

        Raises:
            UnknownVoiceError: no voice has this name.
            VoiceForbiddenError: nobody has agreed to its use.
            MalformedMessageError: its record is none.
            StorageUnavailableError: S3 cannot be asked.
        """
        read_at, voice = self._cache.get(name, (0.0, None))
        if voice is None or self._clock() - read_at > CACHE_S:
            voice = self._read(name)
            self._cache[name] = (self._clock(), voice)
        return voice

    def list(self) -> tuple[Voice, ...]:
        """Return all voices, by name.

        Raises:
            StorageUnavailableError: S3 cannot be asked.
        """
        found = (_RECORD_KEY.fullmatch(key) for key in self._store.list_keys("voices/"))
        return tuple(self._read(name) for name in sorted(match["name"] for match in found if match))

    def add(self, name: str, recording: Recording, *, consent: str) -> Voice:
        """Store a voice; one of the same name is replaced.

        Args:
            name: lower-case letters, digits, `-` and `_`.
            recording: what it sounds like.
            consent: who agreed to the use of their voice, and when; kept as it is.

        Raises:
            InvalidVoiceError: the name or the consent cannot be accepted.
            StorageUnavailableError: S3 did not take it.
        """
        check_voice(name, consent)
        voice = Voice(
            name=name,
            sha256=recording.sha256,
            duration_s=recording.duration_s,
            sample_rate_hz=recording.sample_rate_hz,
            consent=consent.strip(),
            added_at=datetime.now(UTC),
            warnings=tuple(warning.code for warning in recording.warnings),
        )
        # The audio first: a record never points at nothing.
        self._store.put(keys.voice_audio_key(voice.sha256), recording.wav, "audio/wav")
        self._store.put(keys.voice_record_key(name), voice.model_dump_json().encode(), "application/json")
        self._cache.pop(name, None)
        return voice

    def remove(self, name: str) -> None:
        """Take a voice out of the register. Narrations that were accepted with it are still spoken.

        Raises:
            UnknownVoiceError: no voice has this name.
            StorageUnavailableError: S3 cannot be asked.
        """
        with contextlib.suppress(VoiceForbiddenError):
            self._read(name)
        self._store.delete(keys.voice_record_key(name))
        self._cache.pop(name, None)

    def _read(self, name: str) -> Voice:
        if not VOICE_NAME.fullmatch(name):
            raise UnknownVoiceError(name)
        try:
            return Voice.model_validate_json(self._store.get(keys.voice_record_key(name)))
        except ObjectNotFoundError:
            raise UnknownVoiceError(name) from None
        except ValidationError as error:
            if any(fault["loc"] == ("consent",) for fault in error.errors()):
                raise VoiceForbiddenError(name) from None
            raise MalformedMessageError(f"the record of voice {name!r}", f"{error.error_count()} faults") from None


def check_voice(name: str, consent: str) -> None:
    """Refuse a name or a note of consent that no voice can have.

    Raises:
        InvalidVoiceError: naming each fault.
    """
    faults = []
    if not VOICE_NAME.fullmatch(name):
        faults.append(Fault("voice_name", "name", "takes lower-case letters, digits, `-` and `_`, at most 64"))
    elif name == DEFAULT_VOICE:
        faults.append(Fault("voice_name", "name", f"{DEFAULT_VOICE!r} is the voice that the engine brings along"))
    if not consent.strip():
        faults.append(Fault("consent_missing", "consent", "say who agreed to the use of their voice, and when"))
    elif len(consent) > 2_000:
        faults.append(Fault("too_long", "consent", "takes at most 2000 characters"))
    if faults:
        raise InvalidVoiceError.of(faults)
