"""What a worker needs to speak any segment of a narration, kept in memory for the next one.

Knows nothing of engines.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from producer.contract.errors import MalformedMessageError, UnknownVoiceError
from producer.contract.keys import request_key
from producer.contract.narration import (
    DEFAULT_VOICE,
    EngineName,
    ModelName,
    Narration,
    NarrationRequest,
    Parameters,
    QualityGate,
)
from producer.contract.plan import Plan, Segment
from producer.contract.routing import Priority
from worker.engine.request import segment_seed
from worker.narration.ports import Store
from worker.narration.records import read_plan, read_request

#: Segments that a shelf keeps over all its narrations: some 30 MB of text, ten long books.
MAX_SEGMENTS: Final = 100_000

#: Locks by which a narration is read once, however many of its segments begin at the same time.
_NUM_LOCKS: Final = 16


@dataclass(frozen=True, slots=True)
class SpokenSegment:
    """What decides how one segment sounds, beside what all of its narration have in common."""

    text: str
    #: None: the engine's own voice.
    voice_sha256: str | None
    seed: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides how the segments of one narration sound, but the engine itself; and how soon."""

    narration_id: str
    engine: EngineName
    #: Never AUTO.
    model: ModelName
    language: str
    voice_sha256: str | None
    #: Hash of each other voice's recording, by name; None: the engine's own.
    voices_sha256: Mapping[str, str | None]
    #: Names of the voices that segments have beside the narration's, and for each segment 0 (the narration's) or the
    #: place of its voice among them, from 1; empty if all have the narration's. Two bytes for a segment.
    voice_names: tuple[str, ...]
    speakers: array[int]
    parameters: Parameters
    seed: int
    #: Segment -> its take, of those that are spoken once more.
    takes: Mapping[int, int]
    #: What is spoken, by index.
    texts: tuple[str, ...]
    priority: Priority = Priority.NORMAL
    #: How each take is checked; no part of how it sounds.
    quality: QualityGate = QualityGate.SIGNAL

    @classmethod
    def of(cls, request: NarrationRequest, plan: Plan) -> Self:
        """Return the recipe of a request that was split into this plan."""
        narration = request.narration
        voices = [_voice_of(segment, narration) for segment in plan.segments]
        voice_names = tuple(dict.fromkeys(voice for voice in voices if voice is not None))
        numbers = {name: number for number, name in enumerate((None, *voice_names))}
        return cls(
            narration_id=request.id,
            engine=narration.engine,
            model=model_for(narration.model, narration.language),
            language=narration.language,
            voice_sha256=request.voice_sha256,
            voices_sha256={name: request.voices_sha256[name] for name in voice_names if name in request.voices_sha256},
            voice_names=voice_names,
            speakers=array("H", (numbers[voice] for voice in voices) if voice_names else ()),
            parameters=narration.parameters,
            seed=narration.seed,
            takes={segment.index: segment.take for segment in plan.segments if segment.take},
            texts=tuple(segment.text for segment in plan.segments),
            priority=narration.priority,
            quality=narration.quality,
        )

    def text(self, index: int) -> str:
        """Return what is spoken in a segment.

        Raises:
            MalformedMessageError: there is no such segment.
        """
        if not 0 <= index < len(self.texts):
            raise MalformedMessageError(f"a message for narration {self.narration_id}", f"it has no segment {index}")
        return self.texts[index]

    def segment(self, index: int) -> SpokenSegment:
        """Return what is spoken in a segment, by whom, and with which seed.

        Raises:
            MalformedMessageError: there is no such segment.
            UnknownVoiceError: its voice was not pinned when the narration was handed in.
        """
        text = self.text(index)
        return SpokenSegment(
            text, self._voice(index), take_seed(segment_seed(self.seed, text), self.takes.get(index, 0))
        )

    def _voice(self, index: int) -> str | None:
        number = self.speakers[index] if self.speakers else 0
        if number == 0:
            return self.voice_sha256
        name = self.voice_names[number - 1]
        if name not in self.voices_sha256 and name != DEFAULT_VOICE:
            raise UnknownVoiceError(name)
        return self.voices_sha256.get(name)


def take_seed(seed: int, take: int) -> int:
    """Return the seed of a segment's take: its own for the first one, another that follows from it for each further."""
    return seed if take == 0 else segment_seed(seed, f"take {take}")


def _voice_of(segment: Segment, narration: Narration) -> str | None:
    """Return the name of who speaks a segment; None for the narration's voice."""
    voice = segment.voice
    if voice is None and segment.chapter < len(narration.chapters):
        voice = narration.chapters[segment.chapter].voice
    return None if voice == narration.voice else voice


def model_for(model: ModelName, language: str) -> ModelName:
    """Return which model speaks a language when the user leaves it open: English its own, the others multilingual."""
    if model is not ModelName.AUTO:
        return model
    return ModelName.ENGLISH if language == "en" else ModelName.MULTILINGUAL


class RecipeShelf:
    """The recipes that were used last. Safe for use from many threads."""

    def __init__(self, store: Store, max_segments: int = MAX_SEGMENTS) -> None:
        self._store = store
        self._max_segments = max_segments
        self._recipes: OrderedDict[str, Recipe] = OrderedDict()
        self._lock = threading.Lock()
        self._reading = tuple(threading.Lock() for _ in range(_NUM_LOCKS))

    def get(self, narration_id: str) -> Recipe:
        """Return a narration's recipe, read from S3 unless it is on the shelf.

        Raises:
            MalformedMessageError: a record cannot be read.
            ObjectNotFoundError: a record is not there.
            StorageUnavailableError: S3 cannot be used.
        """
        with self._reading[hash(narration_id) % _NUM_LOCKS]:
            with self._lock:
                if narration_id in self._recipes:
                    self._recipes.move_to_end(narration_id)
                    return self._recipes[narration_id]
            request = read_request(self._store, request_key(narration_id))
            recipe = Recipe.of(request, read_plan(self._store, narration_id))
            with self._lock:
                self._recipes[narration_id] = recipe
                self._shrink()
            return recipe

    def _shrink(self) -> None:
        num_segments = sum(len(recipe.texts) for recipe in self._recipes.values())
        while num_segments > self._max_segments and len(self._recipes) > 1:
            _, dropped = self._recipes.popitem(last=False)
            num_segments -= len(dropped.texts)
