"""Object keys in S3 and key names in Redis, as pure functions of ids.

No key is ever made of a user's own words: ids, hashes and checked names only.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import time
from typing import Final

from producer.contract.narration import AudioFormat

NARRATION_ID: Final = re.compile(r"[a-z2-7]{26}")


def new_id() -> str:
    """Return a fresh id of 26 characters that sorts by the time it was made (48 bits of milliseconds, 80 random)."""
    return _encode(int(time.time() * 1000).to_bytes(6, "big") + os.urandom(10))


def id_of_key(idempotency_key: str) -> str:
    """Return the id that belongs to an idempotency key: the same on every machine, with no look-up."""
    return _encode(hashlib.sha256(b"idempotency-key\0" + idempotency_key.encode()).digest()[:16])


def successor_id(narration_id: str) -> str:
    """Return the id of the narration that takes this one up again: always the same, so a retry can be repeated."""
    return _encode(hashlib.sha256(b"retry-of\0" + narration_id.encode()).digest()[:16])


def redo_id(narration_id: str, redone_json: str) -> str:
    """Return the id of the narration that speaks these segments of another once more: always the same, as above."""
    return _encode(hashlib.sha256(b"redo-of\0" + f"{narration_id}\0{redone_json}".encode()).digest()[:16])


def is_id(text: str) -> bool:
    """Say whether a text has the form of an id."""
    return NARRATION_ID.fullmatch(text) is not None


def _encode(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()


# Objects in S3. CHATTERQUEUE_S3_PREFIX goes in front of them; the object store does that.


def request_key(narration_id: str, content_hash: str | None = None) -> str:
    """Return the key of a narration's request, text included.

    Args:
        narration_id: whose.
        content_hash: of a narration with an idempotency key. Two processes may hand in different content under one
            key at the same moment; neither may overwrite the request that the other's record points to.
    """
    return f"narrations/{narration_id}/request{f'-{content_hash[:16]}' if content_hash else ''}.json"


def narration_prefix(narration_id: str) -> str:
    """Return what the keys of a narration's own objects begin with."""
    return f"narrations/{narration_id}/"


def deletion_key(narration_id: str) -> str:
    """Return the key of the note that a narration was deleted whose request is in a pack."""
    return f"narrations/{narration_id}/deleted.json"


def request_pack_prefix(batch_id: str) -> str:
    """Return what the keys of a batch's packs begin with."""
    return f"batches/{batch_id}/"


def request_pack_key(batch_id: str, index: int) -> str:
    """Return the key of a pack: many requests of one batch in one object, so that a bulk submit is few PUTs."""
    return f"batches/{batch_id}/requests-{index:05d}.jsonl"


def plan_key(narration_id: str) -> str:
    """Return the key of a narration's plan."""
    return f"narrations/{narration_id}/plan.json"


def manifest_key(narration_id: str) -> str:
    """Return the key of a narration's manifest."""
    return f"narrations/{narration_id}/manifest.json"


def takes_key(narration_id: str) -> str:
    """Return the key of the log of takes: every attempt at every segment, one JSON line each."""
    return f"narrations/{narration_id}/takes.jsonl"


def audio_key(narration_id: str, audio_format: AudioFormat) -> str:
    """Return the key of a narration's finished audio."""
    return f"narrations/{narration_id}/audio.{audio_format.value}"


def subtitles_key(narration_id: str, suffix: str) -> str:
    """Return the key of a narration's timings: `srt`, `vtt`, or `json` for all that is known of them."""
    return f"narrations/{narration_id}/audio.{suffix}"


def chapter_audio_key(narration_id: str, index: int, audio_format: AudioFormat) -> str:
    """Return the key of the audio of one chapter; players sort by the number, which begins at 1."""
    return f"narrations/{narration_id}/chapters/{index + 1:04d}.{audio_format.value}"


def cover_key(sha256: str) -> str:
    """Return the key of a cover, a JPEG or PNG file."""
    return f"covers/{sha256}"


def dictionary_record_key(name: str) -> str:
    """Return the key of a pronunciation dictionary's record: its versions."""
    return f"dictionaries/{name}.json"


def dictionary_rules_key(sha256: str) -> str:
    """Return the key of one version's rules."""
    return f"dictionaries/{sha256}.rules.json"


def segment_key(segment_hash: str) -> str:
    """Return the key of a segment's audio; `segment_hash` is the SHA-256 of all that decides how it sounds."""
    return f"segments/{segment_hash[:2]}/{segment_hash}.flac"


def voice_record_key(name: str) -> str:
    """Return the key of a voice's record."""
    return f"voices/{name}.json"


def voice_audio_key(sha256: str) -> str:
    """Return the key of a voice's reference audio."""
    return f"voices/{sha256}.wav"


class RedisKeys:
    """Key names in Redis under one prefix.

    The segments of a narration and its two other pieces of work, planning and assembling, are *items*: the
    strings `plan`, `assemble`, `0`, `1`, ... Every structure below that is said to hold items holds these.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def record(self, narration_id: str) -> str:
        """Hash: the narration's record."""
        return f"{self._prefix}narration:{narration_id}"

    def done(self, narration_id: str) -> str:
        """Bitmap: segment index -> done."""
        return f"{self.record(narration_id)}:done"

    def waiting(self, narration_id: str) -> str:
        """Sorted set: item -> millisecond (Redis time) at which its message was sent."""
        return f"{self.record(narration_id)}:waiting"

    def delayed(self, narration_id: str) -> str:
        """Sorted set: item -> millisecond (Redis time) from which its message may be sent; none is in a queue now."""
        return f"{self.record(narration_id)}:delayed"

    def leases(self, narration_id: str) -> str:
        """Sorted set: item -> millisecond (Redis time) at which its lease ends."""
        return f"{self.record(narration_id)}:leases"

    def tokens(self, narration_id: str) -> str:
        """Hash: item -> fencing token of whoever holds the lease."""
        return f"{self.record(narration_id)}:tokens"

    def attempts(self, narration_id: str) -> str:
        """Hash: item -> attempts, counted when the item is claimed."""
        return f"{self.record(narration_id)}:attempts"

    def takes(self, narration_id: str) -> str:
        """Hash: segment index -> the facts of its accepted take, as JSON."""
        return f"{self.record(narration_id)}:takes"

    def failures(self, narration_id: str) -> str:
        """Hash: segment index -> why it failed for good, as JSON."""
        return f"{self.record(narration_id)}:failures"

    def reopened(self, narration_id: str) -> str:
        """Sorted set: segment index -> itself, of those that lost their audio and were not sent again yet."""
        return f"{self.record(narration_id)}:reopened"

    def suspects(self, narration_id: str) -> str:
        """Hash: item -> in how many attempts at it the process ended, or stood still."""
        return f"{self.record(narration_id)}:suspects"

    def log(self, narration_id: str) -> str:
        """List: what happened to its items, one JSON line each; becomes `takes.jsonl`."""
        return f"{self.record(narration_id)}:log"

    def lanes(self) -> str:
        """What the names of the lanes' keys begin with; a priority follows, then what each holds.

        - `:out`, sorted set: `<id>:<segment>` -> 0 if it waits for a worker, 1 if one holds it
        - `:turns`, sorted set: batch, or narration without one -> its next turn to send a segment
        - `:turns:<batch or id>`, sorted set: narration -> its place among those of the batch
        - `:turns:count`, number: turns so far
        """
        return f"{self._prefix}lane:"

    def watch(self) -> str:
        """Hash: millisecond at which a script ran last, and until which leases that ran out are let be."""
        return f"{self._prefix}watch"

    def active(self) -> str:
        """Sorted set: ids of narrations that have not ended -> millisecond of creation."""
        return f"{self._prefix}active"

    def narrations(self) -> str:
        """Sorted set: ids of all narrations that have a record -> millisecond of creation."""
        return f"{self._prefix}narrations"

    def batch(self, batch_id: str) -> str:
        """Sorted set: ids of a batch's narrations -> their place in it."""
        return f"{self._prefix}batch:{batch_id}"

    def reconciler_lock(self) -> str:
        """String: which worker runs the reconciler now."""
        return f"{self._prefix}reconciler"

    def upkeep_lock(self) -> str:
        """String: which worker runs the upkeep now."""
        return f"{self._prefix}upkeep"

    def epoch(self) -> str:
        """String: `run_id` of the server process in which the ledger was last found whole, or a mark of a rebuild."""
        return f"{self._prefix}epoch"

    def workers(self) -> str:
        """Hash: worker name -> its last heartbeat, as JSON."""
        return f"{self._prefix}workers"

    def quarantine(self) -> str:
        """List: messages that no worker may see, the last one first, as JSON without their content."""
        return f"{self._prefix}quarantine"

    def quarantined(self) -> str:
        """Hash: reason -> how many messages were ever put into quarantine for it."""
        return f"{self._prefix}quarantined"
