"""What a narration turned into: every segment's place in the audio, stored as `manifest.json`.

(The file of narrations to submit is the *bulk file*, `producer.bulk`.)
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

from producer.contract.loudness import LoudnessFacts
from producer.contract.narration import SCHEMA_VERSION
from producer.contract.plan import Boundary
from producer.contract.status import State

_PRECISIONS: Final = frozenset({"fp32", "bf16", "int8"})


class TakeFacts(BaseModel):
    """What the ledger keeps of a segment's accepted take."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: Object key of the segment's FLAC file, without the S3 prefix.
    key: str
    num_samples: int
    sample_rate_hz: int
    seed: int
    #: True if the audio was in the segment cache and nothing was synthesized.
    is_reused: bool
    #: Whether it carries the Perth watermark.
    is_watermarked: bool = False
    #: Seconds that the synthesis took; 0 if reused.
    synthesis_s: float
    worker: str
    #: What the quality gate found and no other take did better on; empty: nothing.
    flags: tuple[str, ...] = ()
    #: 0 to 1, the higher the better; None in takes that were not checked.
    score: float | None = None
    #: What it was checked by: `signal`, and `asr` where that was asked for and the recognizer knows the language.
    checks: tuple[str, ...] = ()
    #: Takes that were made until this one was kept.
    num_takes: int = 1


class ManifestSegment(BaseModel):
    """One segment's place in the text and in the audio."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    index: int
    #: Span in the original text, in characters.
    start: int
    end: int
    boundary: Boundary
    #: False: the audio holds nothing for this span; `error_code` says why.
    is_present: bool
    key: str | None = None
    #: Index of its chapter.
    chapter: int = 0
    #: Who speaks it; None: the chapter's voice or the narration's.
    voice: str | None = None
    offset_samples: int
    #: Of the take that are heard, without what was trimmed.
    num_samples: int
    #: Samples of the stored take that come before those that are heard.
    trim_start_samples: int = 0
    #: All samples of the stored take; None: none of them was trimmed.
    take_samples: int | None = None
    pause_after_samples: int
    offset_s: float
    duration_s: float
    seed: int | None = None
    attempts: int
    is_reused: bool = False
    #: Why somebody should listen to it; see docs/quality.md.
    flags: tuple[str, ...] = ()
    score: float | None = None
    #: What it was checked by: `signal`, `asr`.
    checks: tuple[str, ...] = ()
    error_code: str | None = None
    error: str | None = None


class AudioObject(BaseModel):
    """The finished audio in S3."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    format: str
    content_type: str
    size_bytes: int
    sha256: str
    sample_rate_hz: int
    num_samples: int
    duration_s: float


class ManifestChapter(BaseModel):
    """One chapter's place in the text and in the audio."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    index: int
    title: str
    #: Span in the original text, in characters.
    start: int
    end: int
    offset_s: float
    duration_s: float
    num_segments: int
    num_failed: int
    num_flagged: int
    #: Its own file, if those were asked for.
    audio: AudioObject | None = None


class Usage(BaseModel):
    """What the speech of a narration has cost; segments from the cache cost nothing."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: Seconds of engine time: on a GPU the narration's share of its seconds.
    engine_s: float
    #: Seconds of speech that were made in them.
    audio_s: float
    #: Seconds of speech per second of engine time; None if everything was in the cache.
    ratio: float | None
    #: How the model's weights were kept; None for engines that have no choice.
    precision: str | None = None

    @classmethod
    def of(cls, takes: Iterable[TakeFacts], engine_identity: str | None = None) -> Self:
        """Return what these takes have cost together; the engine's identity ends with the precision."""
        made = [take for take in takes if not take.is_reused]
        engine_s = sum(take.synthesis_s for take in made)
        audio_s = sum(take.num_samples / take.sample_rate_hz for take in made)
        ratio = round(audio_s / engine_s, 3) if engine_s > 0 else None
        last = (engine_identity or "").rpartition("/")[2]
        return cls(
            engine_s=round(engine_s, 3),
            audio_s=round(audio_s, 3),
            ratio=ratio,
            precision=last if last in _PRECISIONS else None,
        )


class Manifest(BaseModel):
    """The proof of completeness that lies beside the audio."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    narration_id: str
    custom_id: str | None
    title: str | None
    state: State
    #: Engine, model, revision and precision.
    engine_identity: str | None
    #: None in manifests of before it was measured.
    usage: Usage | None = None
    #: Whether every present segment carries the Perth watermark; engines without a neural voice have none.
    is_watermarked: bool
    voice: str
    voice_sha256: str | None
    language: str
    text_sha256: str
    num_chars: int
    created_at: datetime
    #: None when every segment failed.
    audio: AudioObject | None
    #: None in manifests of before it was measured.
    loudness: LoudnessFacts | None = None
    chapters: tuple[ManifestChapter, ...] = ()
    segments: tuple[ManifestSegment, ...]
