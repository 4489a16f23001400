"""Whether a narration is whole in S3: request, plan, segments, manifest, audio, and that they say the same.

Knows nothing of how the ledger keeps its items.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from producer.audit.ledgerview import LedgerView
from producer.audit.report import Invariant, Report
from producer.audit.segments import PATIENCE_S, SegmentShelf, Sound
from producer.contract.ending import Ending, ending_key
from producer.contract.keys import manifest_key, plan_key
from producer.contract.manifest import AudioObject, Manifest, ManifestSegment
from producer.contract.narration import NarrationRequest
from producer.contract.plan import Plan
from producer.contract.status import STATES_WITH_AUDIO
from producer.storage import ObjectNotFoundError, retrying
from producer.storage.inventory import BucketInventory

#: Bytes of an audio object that are read at a time.
_PIECE_BYTES: Final = 8 * 1024 * 1024

#: `key` or `key#offset+length`: a whole object or a slice of a pack.
_REFERENCE: Final = re.compile(r"([^#]+)(?:#(\d+)\+(\d+))?")

_SPEAK_AGAIN: Final = "submit the narration again: what is stored is not synthesized again"

Record = TypeVar("Record", bound=BaseModel)


class WholenessCheck:
    """Checks what S3 holds of narrations, one at a time."""

    def __init__(self, store: BucketInventory, shelf: SegmentShelf, report: Report) -> None:
        self._store = store
        self._shelf = shelf
        self._report = report
        #: Segment key -> what the first manifest that names it says of its sound.
        self._sounds: dict[str, Sound] = {}

    def check(self, view: LedgerView) -> Manifest | None:
        """Check one narration that has a record; return its manifest if it has audio.

        Raises:
            StorageUnavailableError: S3 cannot be used.
        """
        if view.state in STATES_WITH_AUDIO:
            return self._check_finished(view)
        if view.is_open:
            self._check_under_way(view)
        return None

    def _check_under_way(self, view: LedgerView) -> None:
        narration_id = view.narration_id
        if self._request(view) is None:
            text = f"its request {view.fields.get('request_ref')!r} is gone or cannot be read: it can never end"
            self._report.add(Invariant.ACCEPTED_IS_KEPT, narration_id, "plan", text, "cancel it and submit it again")
        num_segments = view.number("num_segments")
        plan = self._read(Plan, plan_key(narration_id)) if num_segments else None
        if num_segments and (plan is None or len(plan.segments) != num_segments):
            text = f"its plan does not hold the {num_segments} segments of its record"
            self._report.add(Invariant.MANIFEST_IS_WHOLE, narration_id, "plan", text, "cancel it and submit it again")
        ending = self._read(Ending, ending_key(narration_id))
        if ending is not None:
            text = f"S3 says that it ended as {ending.state or 'deleted'}, and its record says {view.state}"
            self._report.add(Invariant.ONE_END, narration_id, None, text, "cancel it, or remove ended.json")
        sounds = {
            index: (take.key, Sound(take.num_samples, take.sample_rate_hz))
            for index, take in view.takes.items()
            if take is not None
        }
        self._check_segments(narration_id, sounds, "it is spoken again when the audio is assembled")

    def _check_finished(self, view: LedgerView) -> Manifest | None:
        narration_id = view.narration_id
        manifest = self._read(Manifest, manifest_key(narration_id))
        if manifest is None:
            text = "its manifest is gone or cannot be read"
            self._report.add(Invariant.MANIFEST_IS_WHOLE, narration_id, "manifest.json", text, _SPEAK_AGAIN)
            return None
        if (manifest.narration_id, manifest.state) != (narration_id, view.state):
            text = f"its manifest is of {manifest.narration_id} and says {manifest.state}, its record {view.state}"
            self._report.add(Invariant.ONE_END, narration_id, "manifest.json", text, _SPEAK_AGAIN)
        self._check_order(manifest, view)
        present = [segment for segment in manifest.segments if segment.is_present]
        rate_hz = manifest.audio.sample_rate_hz if manifest.audio else 0
        sounds = {
            segment.index: (segment.key or "", Sound(segment.take_samples or segment.num_samples, rate_hz))
            for segment in present
        }
        self._check_segments(narration_id, sounds, f"the audio is not affected; {_SPEAK_AGAIN}")
        self._check_voice(manifest, view)
        self._check_audio(manifest, view)
        return manifest

    def _check_order(self, manifest: Manifest, view: LedgerView) -> None:
        def broken(item: int | None, text: str) -> None:
            self._report.add(Invariant.MANIFEST_IS_WHOLE, view.narration_id, item, text, _SPEAK_AGAIN)

        num_segments = view.number("num_segments")
        plan = self._read(Plan, plan_key(view.narration_id))
        if plan is not None and len(plan.segments) != num_segments:
            broken(None, f"its plan has {len(plan.segments)} segments, its record {num_segments}")
        if [segment.index for segment in manifest.segments] != list(range(num_segments)):
            broken(None, f"its manifest does not name the segments 0 to {num_segments - 1} once each, in order")
            return
        spans = [(segment.start, segment.end) for segment in plan.segments] if plan else []
        offset = 0
        for segment in manifest.segments:
            if spans and (segment.start, segment.end) != spans[segment.index]:
                broken(segment.index, "the manifest places it at another span of the text than the plan")
            if segment.offset_samples != offset:
                broken(segment.index, f"begins at sample {segment.offset_samples}, and the one before ends at {offset}")
            offset = segment.offset_samples + segment.num_samples + segment.pause_after_samples
            if fault := _presence_fault(segment):
                broken(segment.index, fault)
        if manifest.audio is not None and manifest.audio.num_samples != offset:
            broken(None, f"its segments end at sample {offset}, its audio at {manifest.audio.num_samples}")
        num_present = sum(segment.is_present for segment in manifest.segments)
        if num_present != view.number("num_done"):
            broken(None, f"{num_present} segments are present, and {view.number('num_done')} are done")

    def _check_segments(self, narration_id: str, sounds: dict[int, tuple[str, Sound]], remedy: str) -> None:
        self._report.counts["segments"] += len(sounds)
        for index, fault in self._shelf.faults(sounds):
            self._report.add(Invariant.MANIFEST_IS_WHOLE, narration_id, index, fault, remedy)
        for index, (key, sound) in sorted(sounds.items()):
            first = self._sounds.setdefault(key, sound)
            if first != sound:
                text = f"its key stands for {sound} here and for {first} in another narration"
                remedy = "a version that sounds different must change the segment keys: report it"
                self._report.add(Invariant.SAME_SEED_SAME_SOUND, narration_id, index, text, remedy)

    def _check_voice(self, manifest: Manifest, view: LedgerView) -> None:
        request = self._request(view)
        if request is None:
            text = f"its request {view.fields.get('request_ref')!r} is gone or cannot be read"
            self._report.add(Invariant.ONE_VOICE, view.narration_id, None, text, "the audio is not affected")
        elif (manifest.voice, manifest.voice_sha256) != (request.narration.voice, request.voice_sha256):
            text = f"voice {manifest.voice!r} spoke, and {request.narration.voice!r} or another recording was asked for"
            self._report.add(Invariant.ONE_VOICE, view.narration_id, None, text, _SPEAK_AGAIN)

    def _check_audio(self, manifest: Manifest, view: LedgerView) -> None:
        audio = manifest.audio

        def broken(text: str) -> None:
            item = audio.key if audio else "audio"
            self._report.add(Invariant.MANIFEST_IS_WHOLE, view.narration_id, item, text, _SPEAK_AGAIN)

        recorded = view.fields.get("audio")
        if audio is None or recorded is None or AudioObject.model_validate_json(recorded) != audio:
            broken("the manifest and the record describe different audio")
            return
        size_bytes, sha256 = self._measure(audio.key)
        if size_bytes is None:
            broken("the audio object is gone")
        elif size_bytes != audio.size_bytes:
            broken(f"the audio object has {size_bytes} bytes, and {audio.size_bytes} are recorded")
        elif sha256 != audio.sha256:
            broken("the audio object holds other bytes than were written")

    def _measure(self, key: str) -> tuple[int | None, str]:
        """Return an object's size and SHA-256, read piece by piece; None for one that is gone."""
        size_bytes = retrying(lambda: self._store.size(key), deadline_s=PATIENCE_S)
        digest = hashlib.sha256()
        for offset in range(0, size_bytes or 0, _PIECE_BYTES):
            digest.update(self._piece(key, offset, min(_PIECE_BYTES, (size_bytes or 0) - offset)))
        return size_bytes, digest.hexdigest()

    def _piece(self, key: str, offset: int, length: int) -> bytes:
        return retrying(lambda: self._store.get_range(key, offset, length), deadline_s=PATIENCE_S)

    def _request(self, view: LedgerView) -> NarrationRequest | None:
        match = _REFERENCE.fullmatch(view.fields.get("request_ref", ""))
        if match is None:
            return None
        key, offset, length = match.groups()
        span = None if offset is None else (int(offset), int(length))
        request = self._read(NarrationRequest, key, span)
        return request if request is not None and request.id == view.narration_id else None

    def _read(self, kind: type[Record], key: str, span: tuple[int, int] | None = None) -> Record | None:
        """Return a stored record; None if it is not there or cannot be read."""
        try:
            data = self._piece(key, *span) if span else retrying(lambda: self._store.get(key), deadline_s=PATIENCE_S)
            return kind.model_validate_json(data)
        except (ObjectNotFoundError, ValidationError):
            return None


def _presence_fault(segment: ManifestSegment) -> str | None:
    if not segment.is_present:
        return None if segment.error_code else "is missing in the audio, and the manifest does not say why"
    if segment.key is None:
        return "is present and has no key"
    return None if segment.num_samples > 0 else "is present and holds no sample"
