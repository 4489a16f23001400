"""The words of stored takes on their way into the timings: trimmed, moved, and found in the original text."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from assemblystore import MemoryStore, stored_take

from producer.contract.manifest import Manifest, TakeFacts
from producer.contract.narration import AudioFormat
from producer.contract.plan import Plan
from producer.contract.status import State
from worker.audio import assemble, encode_segment
from worker.audio.timings import timings
from worker.audio.words import pack
from worker.text import split
from worker.text.rewriting import rewrite

RATE_HZ = 24_000
TEXT = "The ferry left at 7 without a sound.\n\nThe bell rang on until the very end."
LEAD_MS, TAIL_MS, WORD_MS = 800, 400, 200


def plan_of() -> Plan:
    def words_for_figures(cleaned: Any) -> Any:
        return rewrite(cleaned, (), language="en", normalize=True)

    return split(TEXT, language="en", narration_id="a" * 26, rewrite=words_for_figures)


def take_with_words(index: int, text: str, store: MemoryStore) -> TakeFacts:
    """Store a take that is silent, hums while its words are said, 200 ms each, and is silent again."""
    found, start = [], 0
    for number, word in enumerate(text.rstrip(".").split()):
        start = text.index(word, start)
        begin_ms = LEAD_MS + WORD_MS * number
        found.append((start, start + len(word), begin_ms, begin_ms + WORD_MS))
        start += len(word)
    hum = 0.3 * np.sin(np.arange(found[-1][3] * RATE_HZ // 1_000) * 0.1)
    hum[: LEAD_MS * RATE_HZ // 1_000] = 0
    pcm = np.concatenate([hum, np.zeros(TAIL_MS * RATE_HZ // 1_000)]).astype(np.float32)
    facts = stored_take(index, pcm, store)
    comment = json.dumps({"words": pack(np.array(found, np.int32))})
    store.objects[facts.key] = encode_segment(pcm, RATE_HZ, comment=comment)
    return facts


def found_in(store: MemoryStore, plan: Plan, takes: dict[int, TakeFacts]) -> dict[str, Any]:
    assembly = assemble(plan, takes, {}, {}, store, audio_format=AudioFormat.FLAC)
    manifest = Manifest(
        narration_id="a" * 26, custom_id=None, title=None, state=State.SUCCEEDED, engine_identity=None,
        is_watermarked=False, voice="v", voice_sha256=None, language="en", text_sha256=plan.text_sha256,
        num_chars=plan.num_chars, created_at=datetime(2026, 1, 1, tzinfo=UTC), audio=assembly.audio,
        segments=assembly.segments,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(timings(manifest, plan, TEXT, assembly.words))
    return found


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_words_are_where_they_are_heard_when_silence_is_trimmed(store: MemoryStore) -> None:
    plan = plan_of()
    takes = {segment.index: take_with_words(segment.index, segment.text, store) for segment in plan.segments}
    found = found_in(store, plan, takes)
    assert len(found["segments"]) == 2
    for segment in found["segments"]:
        words = segment["words"]
        assert " ".join(word["word"] for word in words) == segment["text"].rstrip(".")
        # What trimming leaves of the silence in front is 30 ms; the hum itself begins with the first word.
        assert words[0]["start_s"] - segment["offset_s"] == pytest.approx(0.030, abs=0.011)
        assert [round(word["end_s"] - word["start_s"], 4) for word in words] == [WORD_MS / 1_000] * len(words)
        assert all(one["end_s"] <= other["start_s"] for one, other in pairwise(words))
        assert words[-1]["end_s"] <= segment["offset_s"] + segment["duration_s"]
    originals = [TEXT[word["start_char"] : word["end_char"]] for word in found["segments"][0]["words"]]
    assert originals == ["The", "ferry", "left", "at", "7", "without", "a", "sound"]
    assert found["segments"][0]["words"][4]["word"] == "seven"
    assert TEXT[found["segments"][1]["words"][-1]["start_char"] :] == "end."


def test_a_word_in_what_was_trimmed_is_cut_or_left_out(store: MemoryStore) -> None:
    plan = plan_of()
    takes = {segment.index: take_with_words(segment.index, segment.text, store) for segment in plan.segments}
    text = plan.segments[0].text
    words = np.array([[0, 3, 0, 400], [4, 9, 400, 1_000], [10, 14, 1_000, 9_000]], np.int32)
    pcm_ms = 1_000 * takes[0].num_samples // RATE_HZ
    silence = np.zeros(takes[0].num_samples, np.float32)
    silence[LEAD_MS * RATE_HZ // 1_000 : -TAIL_MS * RATE_HZ // 1_000] = 0.3
    store.objects[takes[0].key] = encode_segment(silence, RATE_HZ, comment=json.dumps({"words": pack(words)}))
    segment = found_in(store, plan, takes)["segments"][0]
    assert pcm_ms < 9_000
    assert [word["word"] for word in segment["words"]] == [text[4:9], text[10:14]]
    assert segment["words"][0]["start_s"] == segment["offset_s"]
    assert segment["words"][1]["end_s"] == pytest.approx(segment["offset_s"] + segment["duration_s"], abs=2e-6)


@pytest.mark.parametrize("comment", [None, "by somebody else", json.dumps({"words": [900, 5, 0, 40]})])
def test_a_segment_without_usable_words_has_no_field_for_them(store: MemoryStore, comment: str | None) -> None:
    plan = plan_of()
    takes = {segment.index: take_with_words(segment.index, segment.text, store) for segment in plan.segments}
    hum = np.full(RATE_HZ, 0.3, np.float32)
    takes[1] = stored_take(1, hum, store)
    store.objects[takes[1].key] = encode_segment(hum, RATE_HZ, comment=comment)
    first, second = found_in(store, plan, takes)["segments"]
    assert "words" in first
    assert "words" not in second
