"""One synthesis: what goes into an engine and what comes out.

Knows nothing of Celery, the ledger or torch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from producer.contract.narration import ModelName, Parameters
from producer.contract.routing import Priority

#: Part of every segment's hash: raise it when a change of ours alters how the same request sounds.
SYNTHESIS_VERSION: Final = 2

#: Seeds that a segment is tried with while the model does not come to an end or says nothing. The sampler goes astray
#: now and then; the same seed would go astray in the same way.
MAX_SEEDS: Final = 3


@dataclass(frozen=True, slots=True)
class VoiceReference:
    """Reference audio on this machine's disk: mono 16-bit PCM WAV, named by its hash."""

    sha256: str
    path: Path


@dataclass(frozen=True, slots=True)
class SegmentRequest:
    """One segment to be spoken, with everything that decides how it sounds."""

    text: str
    language: str
    #: Never AUTO: whoever makes the request has chosen.
    model: ModelName
    #: None: the engine's own voice.
    voice: VoiceReference | None
    parameters: Parameters
    #: The segment's own seed, 0 <= seed < 2**32.
    seed: int
    #: Which lane it takes in an engine; no part of the hash, because it changes no sound.
    priority: Priority = Priority.NORMAL
    #: Processes have ended while it was in them: it is spoken alone, so that the next end, if there is one, harms no
    #: other and shows whose fault it was. No part of the hash either.
    is_suspect: bool = False

    def content_hash(self, engine_identity: str) -> str:
        """Return the SHA-256 that names this segment's audio: equal hashes sound the same."""
        content = {
            "version": SYNTHESIS_VERSION,
            "engine": engine_identity,
            "text": self.text,
            "language": self.language,
            "voice": self.voice.sha256 if self.voice else None,
            "parameters": self.parameters.model_dump(mode="json"),
            "seed": self.seed,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Usage:
    """A take's share of the engine's time. The shares of all takes add up to the time in which it was busy."""

    decode_s: float
    render_s: float

    @property
    def engine_s(self) -> float:
        """Both together; on a GPU these are GPU seconds."""
        return self.decode_s + self.render_s


@dataclass(frozen=True, slots=True)
class Take:
    """One finished attempt at a segment."""

    #: [num_samples] float32, mono, -1 to 1.
    pcm: NDArray[np.float32]
    sample_rate_hz: int
    seed: int
    #: Seconds of engine time; of an engine that speaks several at once, this take's share.
    synthesis_s: float
    is_watermarked: bool
    #: How `synthesis_s` came together, where the engine knows.
    usage: Usage | None = None
    #: [num_tokens] integers: the speech tokens that the sound was made of, where the engine has such.
    tokens: NDArray[np.integer] | None = None
    #: [num_parts] integers: which token of the text was being spoken in each part of the sound, all of them equally
    #: long; where the model's attention says so. Not monotone: attention wavers.
    text_positions: NDArray[np.integer] | None = None
    #: [num_text_tokens, 2] integers: the characters of the request's text that each token of it stands for, first and
    #: behind the last; empty for what has no sound. None: not known for certain.
    text_spans: NDArray[np.integer] | None = None


def segment_seed(narration_seed: int, text: str) -> int:
    """Return a segment's seed, 0 <= seed < 2**32.

    It follows from the text and not from the position, so that a sentence inserted into a book changes no other
    segment and all of them are found in the segment cache.
    """
    digest = hashlib.sha256(f"{narration_seed}\0{text}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def seeds_of(request: SegmentRequest) -> list[int]:
    """Return the seeds that a segment is tried with, its own first; they follow from it, so takes stay reproducible."""
    return [request.seed, *(segment_seed(request.seed, f"again {number}") for number in range(1, MAX_SEEDS))]
