"""What the gate says of a take, in the take's own file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from producer.flacfile import COMMENT_BYTES, read_flac_comment
from worker.audio.words import NO_WORDS, words_in
from worker.codec import SegmentCodec
from worker.quality import TakeRecord
from worker.quality.examiner import CHECKS_VERSION
from worker.quality.record import MAX_CHARS

RECORD = TakeRecord(checks=("signal",), flags=("cut_off", "too_short"), score=0.25, seed=2**32 - 1, num_takes=3)


def test_it_comes_back_from_the_file_and_from_its_beginning():
    pcm = np.random.default_rng(1).uniform(-1, 1, 30_000).astype(np.float32)
    codec = SegmentCodec()
    data = codec.encode(pcm, 24_000, RECORD.comment())
    stored = codec.read(data)
    assert TakeRecord.parse(stored.comment) == RECORD
    assert read_flac_comment(data[:COMMENT_BYTES]) == stored.comment
    assert codec.read(codec.encode(stored.pcm, 24_000, None)).pcm.tolist() == stored.pcm.tolist()


def test_it_holds_nothing_but_flags_and_numbers():
    assert set(json.loads(RECORD.comment())) == {"version", "checks", "flags", "score", "seed", "num_takes"}
    longest = RECORD.model_copy(update={"flags": tuple(f"{number:040}" for number in range(40))})
    assert len(longest.comment()) < COMMENT_BYTES - 1_000


def test_words_are_left_out_where_they_would_make_it_too_long():
    words = np.array([[2 * place, 2 * place + 1, 40 * place, 40 * place + 40] for place in range(100)], np.int32)
    record = RECORD.with_words(words)
    assert len(record.comment()) < MAX_CHARS
    assert TakeRecord.parse(record.comment()) == record
    np.testing.assert_array_equal(words_in(record.comment()), words)
    crowded = record.model_copy(update={"flags": tuple(f"{number:040}" for number in range(30))})
    assert json.loads(crowded.comment()).keys() == json.loads(RECORD.comment()).keys()
    assert TakeRecord.parse(crowded.comment()) == crowded.with_words(NO_WORDS)


def changed(**fields: object) -> str:
    return json.dumps({**json.loads(RECORD.comment()), **fields})


@pytest.mark.parametrize(
    "comment",
    [
        None,
        "",
        "made with love",
        "[]",
        "{}",
        changed(score=2),
        changed(seed=-1),
        changed(flags=["x" * 41]),
        changed(words=[0] * 2_000),
        changed(version=CHECKS_VERSION + 1),
        changed(title="x" * 5_000),
    ],
)
def test_a_comment_of_anybody_else_says_nothing(comment):
    assert TakeRecord.parse(comment) is None


@pytest.mark.parametrize("data", [b"", b"fLaC", b"RIFF" + bytes(60), b"fLaC\x04\0\0\x08" + b"\xff" * 8])
def test_a_broken_file_has_no_comment(data):
    assert read_flac_comment(data) is None
