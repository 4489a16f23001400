"""What finished audio says about itself: tags, manifest, subtitles and timings. Knows nothing of S3 or the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from producer.contract.loudness import TARGETS, LoudnessFacts, LoudnessPreset, LoudnessTarget
from producer.contract.manifest import AudioObject, Manifest, ManifestChapter, ManifestSegment, TakeFacts, Usage
from producer.contract.narration import Narration, NarrationRequest
from producer.contract.plan import Plan
from producer.contract.status import State
from worker.audio import Tags
from worker.audio.subtitles import srt, vtt
from worker.audio.timings import timings
from worker.audio.words import Words


class Assembled(Protocol):
    """What came of an assembly (`worker.audio.Assembly`)."""

    @property
    def audio(self) -> AudioObject | None:
        """The finished audio; None if no segment has any."""
        ...

    @property
    def segments(self) -> tuple[ManifestSegment, ...]:
        """Every segment's place in it."""
        ...

    @property
    def chapters(self) -> tuple[ManifestChapter, ...]:
        """Every chapter's place in it."""
        ...

    @property
    def loudness(self) -> LoudnessFacts | None:
        """How loud it was and is; None if there is no audio."""
        ...

    @property
    def words(self) -> Mapping[int, Words]:
        """When the words of each segment's take are said, where that is known."""
        ...


def manifest_of(
    request: NarrationRequest,
    plan: Plan,
    takes: Collection[TakeFacts],
    assembled: Assembled,
    state: State,
    engine_identity: str | None,
) -> Manifest:
    """Return the manifest of a narration that has ended."""
    narration = request.narration
    return Manifest(
        narration_id=request.id,
        custom_id=narration.custom_id,
        title=narration.title,
        state=state,
        engine_identity=engine_identity,
        usage=Usage.of(takes, engine_identity),
        is_watermarked=_is_watermarked(takes),
        voice=narration.voice,
        voice_sha256=request.voice_sha256,
        language=narration.language,
        text_sha256=plan.text_sha256,
        num_chars=plan.num_chars,
        created_at=request.submitted_at,
        audio=assembled.audio,
        loudness=assembled.loudness,
        chapters=assembled.chapters,
        segments=assembled.segments,
    )


def tags_of(
    narration: Narration, cover: bytes | None, takes: Collection[TakeFacts], engine_identity: str | None
) -> Tags:
    """Return the tags of a narration's file, without its chapters, whose places are not known yet."""
    return Tags(
        title=narration.title,
        author=narration.author,
        language=narration.language,
        cover=cover,
        engine=engine_identity,
        is_watermarked=_is_watermarked(takes),
    )


def loudness_target(narration: Narration) -> LoudnessTarget | None:
    """Return how loud a narration is meant to be; None: as loud as the engine made it."""
    if narration.loudness is LoudnessPreset.OFF:
        return None
    target = TARGETS[narration.loudness]
    lufs = target.integrated_lufs if narration.loudness_lufs is None else narration.loudness_lufs
    return LoudnessTarget(lufs, target.max_true_peak_dbtp)


@dataclass(frozen=True, slots=True)
class TimingFile:
    """One way of saying when what is spoken."""

    suffix: str
    content_type: str
    data: bytes


#: Suffixes of all of them.
TIMING_SUFFIXES: Final = ("srt", "vtt", "json")


def timing_files(manifest: Manifest, plan: Plan, text: str, words: Mapping[int, Words]) -> Iterator[TimingFile]:
    """Yield the subtitles and the timings of a narration; none if it has no audio.

    Args:
        manifest: where each segment lies.
        plan: what is spoken.
        text: what was written, which is what subtitles show.
        words: index of a segment -> when the words of its take are said.
    """
    if manifest.audio is not None:
        yield TimingFile("srt", "application/x-subrip", srt(manifest, plan, text))
        yield TimingFile("vtt", "text/vtt", vtt(manifest, plan, text))
        yield TimingFile("json", "application/json", timings(manifest, plan, text, words))


def _is_watermarked(takes: Collection[TakeFacts]) -> bool:
    return bool(takes) and all(take.is_watermarked for take in takes)
