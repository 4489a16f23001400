"""What a narration names and does not hold: voices and a pronunciation dictionary, each looked up once for a whole set.

Knows nothing of queues. What it finds is pinned into the request, so that a narration is spoken as it was handed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from producer.contract.errors import (
    ChatterqueueError,
    Fault,
    InvalidNarrationError,
    TooManyVoicesError,
    UnknownDictionaryError,
    UnknownVoiceError,
    VoiceForbiddenError,
)
from producer.contract.markup import voices_named
from producer.contract.narration import DEFAULT_VOICE, DictionaryReference, Narration
from producer.services import Services

#: Voices that one narration may name. A book with a voice for each of its characters has some dozens.
MAX_VOICES: Final = 200


class References:
    """Looks up what the narrations of one submit name."""

    def __init__(self, services: Services) -> None:
        """Take the services; S3 is not connected to before a narration names something."""
        self._services = services
        self._voices: dict[str, str | ChatterqueueError | None] = {DEFAULT_VOICE: None}
        self._dictionaries: dict[str, DictionaryReference | ChatterqueueError] = {}

    def check(self, narration: Narration) -> None:
        """Look up all that a narration names.

        Raises:
            UnknownVoiceError: naming all voices that are not there.
            VoiceForbiddenError: nobody has agreed to the use of a voice.
            TooManyVoicesError: it names more than `MAX_VOICES`.
            UnknownDictionaryError: the dictionary is not there.
            InvalidNarrationError: several of these.
            StorageUnavailableError: S3 cannot be asked.
        """
        found = list(self._errors(narration))
        if not found:
            return
        errors = [error for _, error in found]
        unknown = [error for error in errors if isinstance(error, UnknownVoiceError)]
        if len(unknown) == len(errors):
            raise UnknownVoiceError(*dict.fromkeys(name for error in unknown for name in error.names))
        if len(errors) == 1:
            raise errors[0]
        raise InvalidNarrationError.of([Fault(error.code, field, str(error)) for field, error in found])

    def faults(self, narration: Narration) -> list[Fault]:
        """Return what a narration names in vain, with every name.

        Raises:
            StorageUnavailableError: S3 cannot be asked.
        """
        return [Fault(error.code, field, str(error)) for field, error in self._errors(narration)]

    def pinned(self, narration: Narration) -> dict[str, Any]:
        """Return what was found for a narration without faults, as fields of its `NarrationRequest`."""
        names = _names(narration)
        return {
            "voice_sha256": self._voice(narration.voice),
            "voices_sha256": {name: self._voice(name) for name in names if name != narration.voice},
            "dictionary": self._dictionary(narration.dictionary),
        }

    def _errors(self, narration: Narration) -> Iterator[tuple[str, ChatterqueueError]]:
        """Yield what is named in vain, and by which field."""
        if len(_names(narration)) > MAX_VOICES:
            yield "voice", TooManyVoicesError(MAX_VOICES)
            return
        for field, names in _named(narration):
            errors = [error for name in names if isinstance(error := self._voice(name), ChatterqueueError)]
            unknown = [name for error in errors if isinstance(error, UnknownVoiceError) for name in error.names]
            if unknown:
                yield field, UnknownVoiceError(*unknown)
            for error in errors:
                if not isinstance(error, UnknownVoiceError):
                    yield field, error
        dictionary = self._dictionary(narration.dictionary)
        if isinstance(dictionary, ChatterqueueError):
            yield "dictionary", dictionary

    def _voice(self, name: str) -> str | ChatterqueueError | None:
        """Return a voice's hash, None for the engine's own, or why there is none."""
        if name not in self._voices:
            try:
                self._voices[name] = self._services.voices.sha256_of(name)
            except (UnknownVoiceError, VoiceForbiddenError) as error:
                self._voices[name] = error
        return self._voices[name]

    def _dictionary(self, name: str | None) -> DictionaryReference | ChatterqueueError | None:
        if name is None:
            return None
        if name not in self._dictionaries:
            from producer.dictionaries import Dictionaries

            try:
                self._dictionaries[name] = Dictionaries(self._services.store).reference(name)
            except UnknownDictionaryError as error:
                self._dictionaries[name] = error
        return self._dictionaries[name]


def _names(narration: Narration) -> list[str]:
    """Return each voice that a narration names, once."""
    return list(dict.fromkeys(name for _, names in _named(narration) for name in names))


def _named(narration: Narration) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield the fields that name voices, and the names in each."""
    yield "voice", (narration.voice,)
    if narration.chapters:
        yield "chapters", dict.fromkeys(chapter.voice for chapter in narration.chapters if chapter.voice is not None)
    if "[" in narration.text:  # most texts hold no mark, and long ones take a while to be searched for them
        yield "text", sorted(voices_named(narration.text))
