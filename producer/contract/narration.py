"""What a user asks for: one text, one voice, one audio object; and how it is stored in S3.

Knows the limits of the input and nothing of who carries it out.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from producer.contract.chapter import MAX_CHAPTERS, Chapter
from producer.contract.errors import InvalidNarrationError
from producer.contract.fault import Fault
from producer.contract.languages import LANGUAGES
from producer.contract.loudness import LoudnessPreset
from producer.contract.markup import without_markup
from producer.contract.routing import Priority

#: Version of every stored record; a reader refuses a newer one by name (`MalformedMessageError`).
SCHEMA_VERSION: Final = 1

#: Characters in one narration; a 24-hour book has about 1.3 million.
MAX_TEXT_CHARS: Final = 2_000_000
MAX_TITLE_CHARS: Final = 500

#: Bytes of `metadata` as JSON; it is handed back as it came and is no place for documents.
MAX_METADATA_BYTES: Final = 8_192

#: Seconds of the longest deadline.
MAX_TIMEOUT_S: Final = 30 * 86_400

VOICE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

#: The voice that an engine brings along.
DEFAULT_VOICE: Final = "default"


class EngineName(StrEnum):
    """What turns segments into audio."""

    AUTO = "auto"  #: whatever engine the workers run
    CHATTERBOX = "chatterbox"  #: Chatterbox TTS, English or multilingual
    DRAFT = "draft"  #: a small English voice on the CPU
    TONE = "tone"  #: a test engine: a hash of each segment's text, as tones


class ModelName(StrEnum):
    """Which Chatterbox model speaks."""

    AUTO = "auto"  #: English for `en`, multilingual for every other language
    ENGLISH = "english"
    MULTILINGUAL = "multilingual"


class AudioFormat(StrEnum):
    """The container and codec of the finished audio."""

    MP3 = "mp3"
    OPUS = "opus"  #: in an Ogg container, `.opus`
    M4B = "m4b"  #: AAC with chapters and a cover, as audiobook players want it
    FLAC = "flac"
    WAV = "wav"


class QualityGate(StrEnum):
    """How each take is checked before it counts."""

    SIGNAL = "signal"  #: by its samples and by what the engine knows of it
    ASR = "asr"  #: also by what a speech recognizer hears


class Parameters(BaseModel):
    """How the model speaks. The defaults are those of chatterbox-tts; other engines ignore what they do not have.

    The lower bound of `temperature` is not 0: the stock sampler divides by it, which a CUDA process does not survive.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    exaggeration: Annotated[float, Field(ge=0.0, le=2.0)] = 0.5
    cfg_weight: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    temperature: Annotated[float, Field(ge=0.05, le=2.0)] = 0.8
    min_p: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    #: None: the model's own default (English 1.2, multilingual 2.0).
    repetition_penalty: Annotated[float, Field(ge=1.0, le=2.0)] | None = None


class Narration(BaseModel):
    """One text to be spoken into one audio object.

    Raises:
        pydantic.ValidationError: if built directly with faulty values.
        InvalidNarrationError: the same from `Narration.parse`, every fault with a stable code.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    text: str
    voice: str = DEFAULT_VOICE
    language: str = "en"
    engine: EngineName = Field(EngineName.AUTO, strict=False)
    model: ModelName = Field(ModelName.AUTO, strict=False)
    format: AudioFormat = Field(AudioFormat.MP3, strict=False)
    parameters: Parameters = Parameters()
    #: One seed for the narration; each segment's own seed follows from it and from the segment's text.
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    priority: Priority = Field(Priority.NORMAL, strict=False)
    #: Seconds after it was handed in within which its first segment must have been begun; None: it waits for ever.
    queue_timeout_s: Annotated[float, Field(ge=1, le=MAX_TIMEOUT_S)] | None = None
    #: Seconds after that within which it must be done. A narration that is late ends as `expired`.
    run_timeout_s: Annotated[float, Field(ge=1, le=MAX_TIMEOUT_S)] | None = None
    #: Same key, same content: the same narration, however often it is submitted.
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    #: The caller's own name for it; unique within a batch.
    custom_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    title: Annotated[str, Field(max_length=MAX_TITLE_CHARS)] | None = None
    author: Annotated[str, Field(max_length=MAX_TITLE_CHARS)] | None = None
    #: SHA-256 of the cover's JPEG or PNG file, as `Client.add_cover` returns it.
    cover: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    #: Where each chapter begins, ascending, the first one at 0; empty: one chapter without a title.
    chapters: Annotated[tuple[Chapter, ...], Field(max_length=MAX_CHAPTERS, strict=False)] = ()
    #: Also one audio object for each chapter.
    chapter_files: bool = False
    #: Name of a pronunciation dictionary; its version is pinned when the narration is handed in.
    dictionary: str | None = None
    #: Write numbers, dates, amounts and units out as words before they are spoken.
    normalize: bool = False
    loudness: LoudnessPreset = Field(LoudnessPreset.AUDIOBOOK, strict=False)
    #: Integrated loudness in LUFS, instead of the preset's.
    loudness_lufs: Annotated[float, Field(ge=-36.0, le=-9.0)] | None = None
    quality: QualityGate = Field(QualityGate.SIGNAL, strict=False)
    metadata: dict[str, Any] = {}

    @field_validator("text")
    @classmethod
    def _text_is_speakable(cls, text: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise PydanticCustomError(
                "text_encoding", "holds a lone surrogate at character {at}", {"at": error.start}
            ) from None
        if text.startswith(("PK\x03\x04", "%PDF-", "\x7fELF")):
            raise PydanticCustomError("text_binary", "is a file's bytes, not text")
        if not text.strip():
            raise PydanticCustomError("text_empty", "is empty")
        if len(text) > MAX_TEXT_CHARS:
            raise PydanticCustomError(
                "text_too_long",
                "has {chars} characters, at most {limit} fit; split it into several narrations",
                {"chars": len(text), "limit": MAX_TEXT_CHARS},
            )
        if not is_speakable(without_markup(text)):
            raise PydanticCustomError("text_unspeakable", "holds no letter and no digit, so there is nothing to say")
        return text

    @field_validator("voice")
    @classmethod
    def _voice_is_a_name(cls, voice: str) -> str:
        if not VOICE_NAME.fullmatch(voice):
            raise PydanticCustomError(
                "voice_name", "is no voice name: lower-case letters, digits, `-` and `_`, at most 64"
            )
        return voice

    @field_validator("dictionary")
    @classmethod
    def _dictionary_is_a_name(cls, dictionary: str | None) -> str | None:
        if dictionary is not None and not VOICE_NAME.fullmatch(dictionary):
            raise PydanticCustomError(
                "dictionary_name", "is no dictionary name: lower-case letters, digits, `-` and `_`, at most 64"
            )
        return dictionary

    @field_validator("language")
    @classmethod
    def _language_is_known(cls, language: str) -> str:
        if language not in LANGUAGES:
            raise PydanticCustomError("language_unknown", "is none of {known}", {"known": " ".join(LANGUAGES)})
        return language

    @field_validator("metadata")
    @classmethod
    def _metadata_is_small_json(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        try:
            size = len(json.dumps(metadata, allow_nan=False, ensure_ascii=False).encode())
        except (TypeError, ValueError, RecursionError):  # ValueError: also a lone surrogate
            raise PydanticCustomError("metadata_json", "is not plain JSON") from None
        if size > MAX_METADATA_BYTES:
            raise PydanticCustomError(
                "metadata_too_large", "is larger than {limit} bytes", {"limit": MAX_METADATA_BYTES}
            )
        return metadata

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if self.engine is EngineName.DRAFT and self.language != "en":
            raise PydanticCustomError("language_unsupported", "the draft engine speaks English only")
        if self.model is ModelName.ENGLISH and self.language != "en":
            raise PydanticCustomError("language_unsupported", "the English model speaks English only")
        starts = [chapter.start for chapter in self.chapters]
        if starts and (starts[0] != 0 or starts != sorted(set(starts)) or starts[-1] >= len(self.text)):
            raise PydanticCustomError(
                "chapters_order", "the chapters must begin at 0, ascend, and lie within the text's characters"
            )
        return self

    @classmethod
    def parse(cls, fields: dict[str, Any], *, line: int | None = None) -> Self:
        """Return a narration made of plain values, as a manifest line or a command line brings them.

        Raises:
            InvalidNarrationError: naming every faulty field.
        """
        try:
            return cls(**fields)
        except ValidationError as error:
            raise InvalidNarrationError.of(faults_of(error, line=line)) from None
        except TypeError as error:  # a field name that is no string
            raise InvalidNarrationError.of([Fault("unknown_field", "", str(error), line)]) from None

    def content_hash(self) -> str:
        """Return the SHA-256 of everything that decides the result: two narrations with the same one sound the same."""
        # Without defaults: a field that a later version adds leaves the hash of what does not use it alone.
        content = self.model_dump(mode="json", exclude=_NOT_CONTENT, exclude_defaults=True)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


#: Fields that change when a narration is spoken, not how.
_NOT_CONTENT: Final = {"idempotency_key", "priority", "queue_timeout_s", "run_timeout_s"}


def is_speakable(text: str) -> bool:
    """Say whether a text holds at least one letter or digit, in any script."""
    return any(unicodedata.category(character)[0] in "LN" for character in text)


class DictionaryReference(BaseModel):
    """One version of a pronunciation dictionary."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    version: int
    sha256: str


class Redo(BaseModel):
    """A segment that is spoken once more."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: Which take it is, from 1; 0 was the first. Decides its seed.
    take: Annotated[int, Field(ge=1)]
    #: What is spoken instead; None: the same text.
    text: str | None = None


class NarrationRequest(BaseModel):
    """A narration as it is stored in S3 (`request.json`), with what was decided when it was handed in."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    id: str
    batch_id: str | None = None
    submitted_at: datetime
    #: SHA-256 of the reference audio; None for the engine's own voice.
    voice_sha256: str | None = None
    #: The narration that this one takes up again.
    retry_of: str | None = None
    #: SHA-256 of the reference audio of each other voice that chapters and marks in the text name; None: the engine's.
    voices_sha256: dict[str, str | None] = {}
    #: The rules of the pronunciation dictionary as they were then.
    dictionary: DictionaryReference | None = None
    #: The narration of which some segments are spoken once more.
    redo_of: str | None = None
    #: Segment -> how it is spoken once more.
    redone: dict[int, Redo] = {}
    narration: Narration

    @classmethod
    def new(
        cls,
        narration: Narration,
        *,
        narration_id: str,
        batch_id: str | None = None,
        voice_sha256: str | None = None,
        voices_sha256: dict[str, str | None] | None = None,
        dictionary: DictionaryReference | None = None,
    ) -> Self:
        """Return the request of a narration that is handed in now."""
        return cls(
            id=narration_id,
            batch_id=batch_id,
            submitted_at=datetime.now(UTC),
            voice_sha256=voice_sha256,
            voices_sha256=voices_sha256 or {},
            dictionary=dictionary,
            narration=narration,
        )


#: pydantic's own error types -> our stable codes. What is not listed is `invalid_value`.
_CODES: Final = {
    "extra_forbidden": "unknown_field",
    "missing": "missing_field",
    "finite_number": "not_finite",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "string_too_long": "too_long",
    "string_too_short": "too_short",
    "string_type": "wrong_type",
    "int_type": "wrong_type",
    "float_type": "wrong_type",
    "bool_type": "wrong_type",
    "dict_type": "wrong_type",
    "model_type": "wrong_type",
    "model_attributes_type": "wrong_type",
}
_ENUM_CODES: Final = {"engine": "engine_unknown", "format": "format_unknown", "model": "model_unknown"}
_OWN_CODES: Final = frozenset(
    {
        "text_encoding",
        "text_binary",
        "text_empty",
        "text_too_long",
        "text_unspeakable",
        "voice_name",
        "dictionary_name",
        "chapters_order",
        "rule_empties",
        "rule_pattern",
        "rule_regex",
        "rule_replacement",
        "language_unknown",
        "language_unsupported",
        "metadata_json",
        "metadata_too_large",
    }
)


def faults_of(error: ValidationError, *, line: int | None = None) -> list[Fault]:
    """Return pydantic's errors as faults with our codes; never with the value, which may be the text."""
    return [_fault(detail, line) for detail in error.errors(include_url=False, include_input=False)]


def _fault(detail: ErrorDetails, line: int | None) -> Fault:
    field = ".".join(str(part) for part in detail["loc"])
    kind = detail["type"]
    if kind in _OWN_CODES:
        code = kind
    elif kind == "enum":
        code = _ENUM_CODES.get(field, "invalid_value")
    else:
        code = _CODES.get(kind, "invalid_value")
    return Fault(code, field, detail["msg"][:1].lower() + detail["msg"][1:], line)
