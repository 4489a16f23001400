"""What the fields of a record say."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from ledgerwork import audio, new_narration

from producer.contract.errors import MalformedMessageError
from producer.contract.narration import AudioFormat
from producer.contract.status import State
from producer.ledger.record import LedgerRecord, fields_of, status_from_fields

#: As a script of version 1 leaves it; must be readable for ever.
STORED = {
    "schema_version": "1",
    "id": "agrahk2kqyeu4me7mzppodf4me",
    "state": "running",
    "content_hash": "0" * 64,
    "creation_token": "0123456789abcdef0",
    "created_ms": "1700000000123",
    "started_ms": "1700000001000",
    "request_ref": "batches/b/requests-00000.jsonl#12+345",
    "engine": "auto",
    "engine_identity": "tone 1",
    "voice": "default",
    "language": "en",
    "format": "flac",
    "priority": "low",
    "num_chars": "1200",
    "num_segments": "9",
    "cursor": "8",
    "num_done": "4",
    "num_failed": "1",
    "num_attempts": "7",
    "audio_ms": "12345",
    "engine_ms": "1234",
    "a_later_field": "is ignored",
}


def test_a_stored_record_is_read() -> None:
    record = LedgerRecord.from_fields(STORED["id"], STORED)
    status = record.status
    assert (status.state, status.num_segments, status.num_done, status.num_reused) == (State.RUNNING, 9, 4, 0)
    assert (status.audio_s, status.duration_s, status.size_bytes) == (12.345, None, None)
    assert status.engine_s == 1.234
    assert status.created_at == datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
    assert (status.finished_at, status.title, status.reason) == (None, None, None)
    assert status.progress == pytest.approx(5 / 9)
    assert (record.format, record.num_rejected, record.audio) == (AudioFormat.FLAC, 0, None)
    assert record.request_ref == "batches/b/requests-00000.jsonl#12+345"


def test_the_finished_audio_is_read() -> None:
    fields = {**STORED, "audio": audio().model_dump_json(), "duration_ms": "2500", "size_bytes": "4321"}
    record = LedgerRecord.from_fields(STORED["id"], fields)
    assert record.audio == audio()
    assert (record.status.duration_s, record.status.size_bytes) == (2.5, 4321)


def test_a_newer_version_is_refused_by_name() -> None:
    with pytest.raises(MalformedMessageError, match="schema version 2, this program reads up to 1"):
        status_from_fields("x", {**STORED, "schema_version": "2"})


@pytest.mark.parametrize(
    "damage", [{"state": "dancing"}, {"num_done": "many"}, {"created_ms": None}, {"schema_version": None}, {"id": None}]
)
def test_a_damaged_record_is_refused_by_name(damage: dict[str, str | None]) -> None:
    fields = {name: value for name, value in {**STORED, **damage}.items() if value is not None}
    with pytest.raises(MalformedMessageError, match="record of narration x"):
        status_from_fields("x", fields)


@pytest.mark.parametrize("damage", [{"audio": "{}"}, {"request_ref": None}])
def test_a_record_without_what_the_worker_needs_is_refused_by_name(damage: dict[str, str | None]) -> None:
    fields = {name: value for name, value in {**STORED, **damage}.items() if value is not None}
    with pytest.raises(MalformedMessageError, match="record of narration x"):
        LedgerRecord.from_fields("x", fields)


def test_a_fresh_record_holds_nothing_of_the_text() -> None:
    fields = fields_of(new_narration("a secret text", title="Title", metadata={"also": "secret"}))
    assert "secret" not in str(fields)
    assert (fields["title"], fields["num_chars"], "custom_id" in fields) == ("Title", 13, False)
