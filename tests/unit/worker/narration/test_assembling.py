from __future__ import annotations

from types import SimpleNamespace

import pytest
from workerfakes import NARRATION_ID, RATE_HZ, FakeLedger, FakeMessenger, dispatch, plan_of, request_of, store_with

from producer.contract.keys import audio_key, manifest_key, takes_key
from producer.contract.manifest import AudioObject, Manifest, TakeFacts, Usage
from producer.contract.narration import AudioFormat
from producer.contract.status import State
from worker.errors import SegmentsUnusableError
from worker.narration.assembling import Assembler
from worker.narration.attempt import Attempts
from worker.narration.drain import Drain
from worker.narration.lease import LeaseBook

AUDIO = AudioObject(
    key=audio_key(NARRATION_ID, AudioFormat.MP3),
    format="mp3",
    content_type="audio/mpeg",
    size_bytes=9,
    sha256="0" * 64,
    sample_rate_hz=RATE_HZ,
    num_samples=RATE_HZ,
    duration_s=1.0,
)


def take(*, is_watermarked: bool = True) -> TakeFacts:
    return TakeFacts(
        key="segments/aa/a.flac",
        num_samples=RATE_HZ,
        sample_rate_hz=RATE_HZ,
        seed=1,
        is_reused=False,
        is_watermarked=is_watermarked,
        synthesis_s=1.0,
        worker="host:1",
    )


def assemble_with(ledger: FakeLedger, *, audio=AUDIO, act=lambda progress: None, messenger=None):
    """Run an assembly of two segments; `act` gets the progress callback in the middle of it."""
    store = store_with(request_of(), plan_of("One.", "Two."))

    def assemble(plan, takes, failures, attempts, its_store, *, audio_format, title, progress):
        act(progress)
        its_store.objects[AUDIO.key] = b"whole"
        return SimpleNamespace(audio=audio, segments=())

    drain = Drain(0.0)
    attempts = Attempts(
        ledger=ledger,
        messenger=messenger or FakeMessenger(),
        book=LeaseBook(),
        drain=drain,
        worker="host:1",
        end_process=lambda reason: None,
    )
    Assembler(attempts=attempts, ledger=ledger, store=store, assemble=assemble).run(NARRATION_ID)
    return store


def test_a_narration_has_succeeded_when_no_segment_failed():
    ledger = FakeLedger(stored_takes={0: take(), 1: take()})
    store = assemble_with(ledger)
    commit = ledger.last("commit")
    assert commit["state"] is State.SUCCEEDED
    assert commit["audio"] == AUDIO
    manifest = Manifest.model_validate_json(store.objects[manifest_key(NARRATION_ID)])
    assert manifest.state is State.SUCCEEDED
    assert manifest.is_watermarked
    assert manifest.engine_identity == "fake/1"
    assert manifest.usage == Usage(engine_s=2.0, audio_s=2.0, ratio=1.0)
    assert store.objects[takes_key(NARRATION_ID)] == b'{"event": "claimed", "item": "0"}\n'


def test_a_narration_is_partial_and_says_why_when_some_segments_failed():
    ledger = FakeLedger(stored_takes={0: take()}, stored_failures={1: ("synthesis", "it stuttered")})
    assemble_with(ledger)
    commit = ledger.last("commit")
    assert commit["state"] is State.PARTIAL
    assert commit["reason_code"] == "synthesis"
    assert commit["reason"] == "1 of 2 segments failed, the first because: it stuttered"


def test_a_narration_has_failed_when_every_segment_did():
    ledger = FakeLedger(stored_failures={0: ("synthesis", "it stuttered"), 1: ("synthesis", "again")})
    assemble_with(ledger, audio=None)
    assert ledger.last("commit")["state"] is State.FAILED
    assert ledger.last("commit")["audio"] is None


def test_the_manifest_says_what_the_speech_has_cost_without_what_was_in_the_cache():
    made = take().model_copy(update={"synthesis_s": 0.5, "num_samples": 48_000, "sample_rate_hz": 24_000})
    reused = made.model_copy(update={"is_reused": True, "synthesis_s": 0.0})
    for takes, expected in (
        ({0: made, 1: made, 2: reused}, Usage(engine_s=1.0, audio_s=4.0, ratio=4.0)),
        ({0: reused}, Usage(engine_s=0.0, audio_s=0.0, ratio=None)),
    ):
        assert Usage.of(takes.values()) == expected
    assert Usage.of([], "chatterbox-0.1.7/english/abc/int8").precision == "int8"
    assert Usage.of([], "draft-1/0.2").precision is None


def test_the_manifest_claims_no_watermark_when_one_take_has_none():
    ledger = FakeLedger(stored_takes={0: take(), 1: take(is_watermarked=False)})
    store = assemble_with(ledger)
    assert not Manifest.model_validate_json(store.objects[manifest_key(NARRATION_ID)]).is_watermarked


@pytest.mark.parametrize(("state", "is_left"), [(State.CANCELLED, False), (State.SUCCEEDED, True)])
def test_the_audio_is_removed_when_the_narration_was_cancelled_meanwhile(state, is_left):
    ledger = FakeLedger(stored_takes={0: take(), 1: take()}, is_committed=False, state=state)
    store = assemble_with(ledger)
    assert (AUDIO.key in store.objects) == is_left
    assert (manifest_key(NARRATION_ID) in store.objects) == is_left


def test_a_long_assembly_stops_when_its_lease_is_lost():
    ledger = FakeLedger(stored_takes={0: take(), 1: take()})

    def lose(progress):
        lease = progress.__closure__[0].cell_contents
        lease.is_lost = True
        progress(1, 2)

    store = assemble_with(ledger, act=lose)
    assert ledger.names() == ["claim"]
    assert AUDIO.key not in store.objects


def test_lost_segments_are_sent_again_when_the_assembly_finds_them_gone():
    ledger = FakeLedger(stored_takes={0: take(), 1: take()}, answer=dispatch("1"))
    messenger = FakeMessenger()

    def find_one_gone(progress):
        raise SegmentsUnusableError("stored segments cannot be used, 1: its object is gone", [1])

    store = assemble_with(ledger, act=find_one_gone, messenger=messenger)
    assert ledger.names() == ["claim", "reopen"]
    assert ledger.last("reopen") == {"token": "token", "indexes": [1]}
    assert messenger.segments == ["1"]
    assert manifest_key(NARRATION_ID) not in store.objects
