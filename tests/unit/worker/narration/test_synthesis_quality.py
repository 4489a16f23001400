"""What the quality gate says, on its way from a take into its file, into the ledger, and back on reuse."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from madeupvoice import RATE_HZ, speak
from processes import wait_for
from workerfakes import (
    NARRATION_ID,
    FakeEngine,
    FakeEngines,
    FakeLedger,
    FakeMessenger,
    FakeStore,
    plan_of,
    request_of,
    store_with,
)

from producer.contract.narration import EngineName
from worker.audio.words import words_in
from worker.codec import SegmentCodec
from worker.engine.request import SegmentRequest, Take
from worker.errors import DrainingError
from worker.narration import lookout, synthesis
from worker.narration.attempt import Attempts
from worker.narration.drain import Drain
from worker.narration.lease import LeaseBook
from worker.narration.recipe import RecipeShelf
from worker.narration.synthesis import Synthesizer
from worker.quality import Finding, Flag, Gate, TakeRecord
from worker.quality.gate import retake_seed

TEXT = "The ferry left without a sound, and the bell rang on."


class Voice(FakeEngine):
    """Cuts off its first `num_cut` takes."""

    name = EngineName.DRAFT
    sample_rate_hz = RATE_HZ

    def __init__(self, num_cut: int = 0) -> None:
        super().__init__(is_held=True)
        self._num_cut = num_cut
        #: Whether it says of each tenth of a take which letter is said, as attention does of each token.
        self.knows_places = False
        #: Takes after which nothing comes any more.
        self.num_spoken = 100

    def submit(self, request: SegmentRequest):
        future = super().submit(request)
        pcm = speak(request.text, request.seed)
        if len(self.requests) <= self._num_cut:
            pcm = pcm[: len(pcm) * 2 // 3]
        if len(self.requests) > self.num_spoken:
            return future
        future.set_running_or_notify_cancel()
        take = Take(pcm, RATE_HZ, request.seed, 0.5, is_watermarked=False)
        future.set_result(replace(take, **places(request.text)) if self.knows_places else take)
        return future


def places(text: str) -> dict:
    """Return positions and spans of a voice that says each character in the same time, a token each."""
    characters = np.arange(len(text))
    spans = np.stack([characters, characters + [letter.isalnum() for letter in text]], axis=1)
    return {"text_positions": characters, "text_spans": spans}


class Hearing:
    """Hears a fault everywhere."""

    def understands(self, language: str) -> bool:
        return True

    def close(self) -> None: ...

    def submit(self, pcm, rate_hz: int, *, text: str, language: str):
        heard: Future[tuple[Finding, ...]] = Future()
        heard.set_result((Finding(Flag.WORDS_DIFFER, 0.4),))
        return heard


class Worker:
    """One worker process on a store that it shares with others."""

    def __init__(self, tmp_path, *, num_cut: int = 0, store: FakeStore | None = None, hearing=None, **fields):
        self.engine = Voice(num_cut)
        self.store = store or store_with(request_of(engine="draft", **fields), plan_of(TEXT))
        self.ledger = FakeLedger()
        self.drain = Drain(600.0)
        self.book = LeaseBook()
        attempts = Attempts(
            ledger=self.ledger,
            messenger=FakeMessenger(),
            book=self.book,
            drain=self.drain,
            worker="host:1",
            end_process=lambda reason: None,
        )
        self.synthesizer = Synthesizer(
            attempts=attempts,
            ledger=self.ledger,
            store=self.store,
            engines=FakeEngines(self.engine),
            voices=SimpleNamespace(),
            recipes=RecipeShelf(self.store),
            codec=SegmentCodec(),
            gate=Gate(max_retakes=2, hearing=hearing),
            worker="host:1",
        )

    def run(self):
        self.synthesizer.run(NARRATION_ID, 0)
        return self.ledger.last("complete")["take"]

    def try_to_run(self) -> None:
        with suppress(DrainingError):
            self.synthesizer.run(NARRATION_ID, 0)

    def stored(self, key: str) -> TakeRecord | None:
        return TakeRecord.parse(SegmentCodec().read(self.store.objects[key]).comment)


def test_a_take_keeps_its_words_when_others_reuse_it_and_check_it_again(tmp_path):
    """Listened to later, or checked anew by a newer version, the same sound has the same words."""
    first = Worker(tmp_path)
    first.engine.knows_places = True
    take = first.run()
    comment = SegmentCodec().read(first.store.objects[take.key]).comment
    words = words_in(comment).tolist()
    assert [TEXT[start:end] for start, end, _, _ in words] == TEXT.replace(",", "").replace(".", "").split()
    assert words[-1][3] == pytest.approx(1_000 * take.num_samples / RATE_HZ * (len(TEXT) - 1) / len(TEXT), abs=1)
    assert "ferry" not in comment

    older = json.dumps({**json.loads(comment), "version": 0})
    data = SegmentCodec().encode(speak(TEXT, take.seed), RATE_HZ, older)
    for stored, quality in ((first.store.objects[take.key], "asr"), (data, "signal")):
        again = Worker(tmp_path, quality=quality, hearing=Hearing())
        again.store.objects[take.key] = stored
        assert again.run().is_reused
        renewed = SegmentCodec().read(again.store.objects[take.key]).comment
        assert renewed != SegmentCodec().read(stored).comment
        assert words_in(renewed).tolist() == words


def test_a_better_take_has_words_of_its_own(tmp_path):
    worker = Worker(tmp_path, num_cut=1)
    worker.engine.knows_places = True
    take = worker.run()
    assert take.num_takes == 2
    record = worker.stored(take.key)
    last_ms = sum(record.words[2::4]) + sum(record.words[3::4])
    assert last_ms == pytest.approx(1_000 * take.num_samples / RATE_HZ * (len(TEXT) - 1) / len(TEXT), abs=1)


def test_a_take_without_places_has_no_words(tmp_path):
    worker = Worker(tmp_path)
    record = worker.stored(worker.run().key)
    assert record.words == ()
    assert "words" not in record.comment()


def test_the_take_that_is_kept_lies_under_the_key_of_the_first_seed(tmp_path):
    worker = Worker(tmp_path, num_cut=1)
    take = worker.run()
    first, second = worker.engine.requests
    assert second.seed == retake_seed(first.seed, 1)
    assert take.key.endswith(f"{first.content_hash('fake/1')}.flac")
    assert (take.flags, take.score, take.num_takes, take.seed) == ((), 1.0, 2, second.seed)
    assert take.synthesis_s == 1.0
    assert take.num_samples == len(speak(TEXT, second.seed))


def test_a_segment_stays_flagged_when_another_narration_reuses_it(tmp_path):
    first = Worker(tmp_path, num_cut=3)
    made = first.run()
    assert made.flags[0] == "cut_off"
    assert made.num_takes == 3
    second = Worker(tmp_path, store=first.store)
    reused = second.run()
    assert second.engine.requests == []
    assert reused.is_reused
    assert (reused.flags, reused.score, reused.num_takes) == (made.flags, made.score, made.num_takes)
    assert (reused.seed, reused.checks, reused.synthesis_s) == (made.seed, ("signal",), 0.0)


@pytest.mark.parametrize(("share", "num_takes", "is_reused"), [(1.0, 1, True), (0.6, 2, False)])
def test_what_was_stored_before_there_were_checks_is_checked_when_it_is_reused(tmp_path, share, num_takes, is_reused):
    worker = Worker(tmp_path)
    made = worker.run()
    pcm = speak(TEXT, made.seed)
    old = SegmentCodec().encode(pcm[: round(len(pcm) * share)], RATE_HZ, None)
    worker.store.objects[made.key] = old
    other = Worker(tmp_path, store=worker.store)
    take = other.run()
    assert (take.flags, take.num_takes, take.is_reused) == ((), num_takes, is_reused)
    assert len(other.engine.requests) == num_takes - 1
    record = other.stored(take.key)
    assert record is not None
    assert record.seed == take.seed


def test_a_reused_take_is_listened_to_when_nobody_has_done_so(tmp_path):
    plain = Worker(tmp_path)
    key = plain.run().key

    def listening(data: bytes) -> Worker:
        worker = Worker(tmp_path, quality="asr", hearing=Hearing())
        worker.store.objects[key] = data
        return worker

    first = listening(plain.store.objects[key])
    take = first.run()
    assert (take.flags, take.checks) == (("words_differ",), ("signal", "asr"))
    assert take.num_takes == 3  # two more were made, and none was better
    assert take.is_reused
    second = listening(first.store.objects[key])
    assert second.run().flags == ("words_differ",)
    assert second.engine.requests == []


def test_a_segment_that_is_to_be_listened_to_waits_for_a_worker_that_can(tmp_path):
    worker = Worker(tmp_path, quality="asr")
    worker.synthesizer.run(NARRATION_ID, 0)
    assert worker.ledger.names() == ["claim", "release"]
    assert "speech recognition" in worker.ledger.last("release")["reason"]
    assert worker.engine.requests == []


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_a_retake_is_given_up_like_any_take(tmp_path, monkeypatch, is_cancelled):
    monkeypatch.setattr(synthesis, "LOOK_S", 0.01)
    monkeypatch.setattr(lookout, "LOOK_S", 0.01)
    worker = Worker(tmp_path, num_cut=3)
    worker.engine.num_spoken = 1
    thread = threading.Thread(target=worker.try_to_run)
    thread.start()
    wait_for(lambda: len(worker.engine.futures) == 2, "the second take was asked for")
    if is_cancelled:
        worker.book.leases()[0].is_lost = True
    else:
        worker.drain.begin()
    thread.join(20)
    assert worker.engine.futures[1].cancelled()
    assert worker.ledger.names() == (["claim"] if is_cancelled else ["claim", "release"])
    assert not [key for key in worker.store.objects if key.startswith("segments/")]


def test_the_test_engine_is_not_checked(tmp_path):
    worker = Worker(tmp_path, quality="asr")
    worker.engine.name = EngineName.TONE
    take = worker.run()
    assert (take.flags, take.score, take.checks) == ((), None, ())
    assert SegmentCodec().read(worker.store.objects[take.key]).comment is None
    assert np.isfinite(SegmentCodec().read(worker.store.objects[take.key]).pcm).all()
