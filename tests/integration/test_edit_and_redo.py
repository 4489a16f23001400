"""Paying for the difference: an edited book, and segments spoken once more, on a real worker, Redis and S3."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from producer import Client, Narration, State
from producer.contract.manifest import Manifest
from producer.contract.status import NarrationStatus

pytestmark = pytest.mark.integration

WAIT_S = 120.0
NAMES = ("Ada", "Boris", "Clara", "Dmitri", "Elena", "Farid", "Greta", "Hugo", "Ines", "Jonas")
PLACES = ("by the river", "in the tower", "at the gate", "under the bridge", "near the mill")


def book(num_paragraphs: int = 30) -> list[list[str]]:
    """Return paragraphs of sentences that differ from each other."""
    return [
        [
            f"{NAMES[(number + place) % 10]} waited {PLACES[(number * 3 + place) % 5]} for {number} hours and {place} "
            "minutes, and nobody came."
            for place in range(6)
        ]
        for number in range(num_paragraphs)
    ]


def text_of(paragraphs: list[list[str]]) -> str:
    return "\n\n".join(" ".join(sentences) for sentences in paragraphs)


@pytest.fixture
def client(settings, start_worker):
    start_worker()
    with Client(settings) as made:
        yield made


def narrate(client: Client, text: str, **fields) -> tuple[NarrationStatus, Manifest]:
    job = client.submit(Narration(text=text, engine="tone", format="flac", **fields))
    status = job.wait(WAIT_S)
    assert status.state is State.SUCCEEDED, status
    return status, job.manifest()


def samples(store, manifest: Manifest) -> np.ndarray:
    assert manifest.audio is not None
    pcm, _ = soundfile.read(io.BytesIO(store.get(manifest.audio.key)), dtype="int16")
    return pcm


def test_an_edited_sentence_costs_three_segments_at_most_and_the_rest_is_reused(client):
    paragraphs = book()
    first, _ = narrate(client, text_of(paragraphs))
    paragraphs[13][2] = "Nobody at all waited anywhere, as it was snowing."
    second, _ = narrate(client, text_of(paragraphs))
    assert first.num_reused == 0
    assert second.num_segments is not None
    assert second.num_segments - second.num_reused <= 3
    third, _ = narrate(client, text_of(paragraphs))
    assert third.num_reused == third.num_segments == second.num_segments


def test_only_the_spans_that_were_redone_differ_in_the_new_file(client, store):
    first, before = narrate(client, text_of(book(6)))
    redone = {3: "Something else was said here, to be heard.", 7: "And here as well."}
    job = client.redo(first.id, redone)
    status = job.wait(WAIT_S)
    assert (status.state, status.redo_of) == (State.SUCCEEDED, first.id)
    assert status.num_segments == first.num_segments
    assert status.num_segments - status.num_reused == len(redone)
    after = job.manifest()
    old, new = samples(store, before), samples(store, after)
    for was, is_now in zip(before.segments, after.segments, strict=True):
        assert (was.start, was.end) == (is_now.start, is_now.end)
        # The silence after it belongs to it: a neighbour's new length moves it, and changes nothing in it.
        heard = old[was.offset_samples :][: was.num_samples + was.pause_after_samples]
        heard_now = new[is_now.offset_samples :][: is_now.num_samples + is_now.pause_after_samples]
        assert np.array_equal(heard, heard_now) == (was.index not in redone)


def test_another_take_of_the_same_text_is_made_and_not_found_in_the_cache(client):
    first, _ = narrate(client, text_of(book(2)))
    status = client.redo(first.id, [1]).wait(WAIT_S)
    assert status.num_segments is not None
    assert (status.state, status.num_segments - status.num_reused) == (State.SUCCEEDED, 1)
