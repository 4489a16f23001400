"""What a narration names and does not hold: voices and a pronunciation dictionary, each looked up once for a whole set.

Knows nothing of queues. What it finds is pinned into the request, so that a narration is spoken as it was handed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypedDict

from producer.contract.errors import (
    ChatterqueueError,
    InvalidNarrationError,
    TooManyVoicesError,
    UnknownCoverError,
    UnknownDictionaryError,
    UnknownVoiceError,
    VoiceForbiddenError,
)
from producer.contract.fault import Fault
from producer.contract.markup import voices_named
from producer.contract.narration import DEFAULT_VOICE, DictionaryReference, Narration
from producer.services import Services

#: Voices that one narration may name. A book with a voice for each of its characters has some dozens.
MAX_VOICES: Final = 200


class Pinned(TypedDict):
    """What was found, as fields of a `NarrationRequest`."""

    voice_sha256: str | None
    voices_sha256: dict[str, str | None]
    dictionary: DictionaryReference | None


@dataclass(frozen=True, slots=True)
class Found:
    """What a narration names."""

    #: Empty if there is an error.
    pinned: Pinned
    #: What is named in vain, and by which field.
    errors: tuple[tuple[str, ChatterqueueError], ...]

    @property
    def faults(self) -> list[Fault]:
        """What is named in vain, with every name."""
        return [Fault(error.code, field, str(error)) for field, error in self.errors]

    def check(self) -> None:
        """Raise if anything is named in vain.

        Raises:
            UnknownVoiceError: naming all voices that are not there.
            VoiceForbiddenError: nobody has agreed to the use of a voice.
            TooManyVoicesError: there are more than `MAX_VOICES`.
            UnknownDictionaryError: the dictionary is not there.
            UnknownCoverError: the cover is not there.
            InvalidNarrationError: several of these.
        """
        if not self.errors:
            return
        unknown = [error for _, error in self.errors if isinstance(error, UnknownVoiceError)]
        if len(unknown) == len(self.errors):
            raise UnknownVoiceError(*dict.fromkeys(name for error in unknown for name in error.names))
        if len(self.errors) == 1:
            raise self.errors[0][1]
        raise InvalidNarrationError.of(self.faults)


class References:
    """Looks up what the narrations of one submit name."""

    def __init__(self, services: Services) -> None:
        """Take the services; S3 is not connected to before a narration names something."""
        self._services = services
        self._voices: dict[str, str | ChatterqueueError | None] = {DEFAULT_VOICE: None}
        self._dictionaries: dict[str, DictionaryReference | ChatterqueueError] = {}
        self._covers: dict[str, ChatterqueueError | None] = {}

    def look_up(self, narration: Narration) -> Found:
        """Return what a narration names.

        Raises:
            StorageUnavailableError: S3 cannot be asked.
        """
        named = [(field, list(names)) for field, names in _named(narration)]
        all_names = dict.fromkeys(name for _, names in named for name in names)
        nothing = Pinned(voice_sha256=None, voices_sha256={}, dictionary=None)
        if len(all_names) > MAX_VOICES:
            return Found(nothing, (("voice", TooManyVoicesError(MAX_VOICES)),))
        errors = [(field, error) for field, names in named for error in self._errors(names)]
        if narration.cover is not None and (missing := self._cover_error(narration.cover)):
            errors.append(("cover", missing))
        dictionary = None if narration.dictionary is None else self._dictionary(narration.dictionary)
        if isinstance(dictionary, ChatterqueueError):
            return Found(nothing, (*errors, ("dictionary", dictionary)))
        if errors:
            return Found(nothing, tuple(errors))
        hashes = {name: sha256 for name in all_names if not isinstance(sha256 := self._voice(name), ChatterqueueError)}
        own_sha256 = hashes.pop(narration.voice)
        return Found(Pinned(voice_sha256=own_sha256, voices_sha256=hashes, dictionary=dictionary), ())

    def _errors(self, names: Iterable[str]) -> Iterator[ChatterqueueError]:
        """Yield what is wrong with the voices that a field names; all that are not there are one error."""
        errors = [error for name in names if isinstance(error := self._voice(name), ChatterqueueError)]
        unknown = [name for error in errors if isinstance(error, UnknownVoiceError) for name in error.names]
        if unknown:
            yield UnknownVoiceError(*unknown)
        yield from (error for error in errors if not isinstance(error, UnknownVoiceError))

    def _voice(self, name: str) -> str | ChatterqueueError | None:
        """Return a voice's hash, None for the engine's own, or why there is none."""
        if name not in self._voices:
            try:
                self._voices[name] = self._services.voices.sha256_of(name)
            except (UnknownVoiceError, VoiceForbiddenError) as error:
                self._voices[name] = error
        return self._voices[name]

    def _cover_error(self, sha256: str) -> ChatterqueueError | None:
        if sha256 not in self._covers:
            from producer.covers import check_cover

            try:
                check_cover(self._services.store, sha256)
                self._covers[sha256] = None
            except UnknownCoverError as error:
                self._covers[sha256] = error
        return self._covers[sha256]

    def _dictionary(self, name: str) -> DictionaryReference | ChatterqueueError:
        if name not in self._dictionaries:
            from producer.dictionaries import Dictionaries

            try:
                self._dictionaries[name] = Dictionaries(self._services.store).reference(name)
            except UnknownDictionaryError as error:
                self._dictionaries[name] = error
        return self._dictionaries[name]


def _named(narration: Narration) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield the fields that name voices, and the names in each, once."""
    yield "voice", (narration.voice,)
    if narration.chapters:
        yield "chapters", dict.fromkeys(chapter.voice for chapter in narration.chapters if chapter.voice is not None)
    if "[" in narration.text:  # most texts hold no mark, and it takes a quarter of a millisecond to look for them
        yield "text", sorted(voices_named(narration.text))
