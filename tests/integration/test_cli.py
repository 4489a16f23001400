"""The command line against real services: what it prints, what it exits with, what it leaves on the disk."""

from __future__ import annotations

import array
import json
import urllib.request
import wave
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from speechlike import speechlike_wav

from producer import Client, Narration, Settings
from producer.cli import main
from producer.contract.exitcode import ExitCode
from producer.storage import ObjectStore
from producer.wavfile import write_wav

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]

TEXT = "This is the first sentence. Here is the second one.\n\nA third follows."


@pytest.fixture(autouse=True)
def place(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a text; the environment points at this test's own prefix."""
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for workers, which start in this folder too
    (folder / "chapter.txt").write_text(TEXT, encoding="utf-8")
    return folder


class Printed:
    """Runs commands and reads what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def lines(self, *arguments: str, exit_code: int = 0) -> list[str]:
        assert main(list(arguments)) == exit_code
        return self._capsys.readouterr().out.splitlines()

    def json(self, *arguments: str, exit_code: int = 0) -> Any:
        assert main([*arguments, "--json"]) == exit_code
        printed = self._capsys.readouterr()
        return json.loads(printed.out or printed.err)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Printed:
    capsys.readouterr()
    return Printed(capsys)


def test_narrate_ends_in_an_audio_file_and_says_where_everything_is(start_worker, run, place, store: ObjectStore):
    start_worker("tone")
    document = run.json("narrate", "chapter.txt", "-o", "out.wav", "--title", "Chapter")
    assert (document["state"], document["title"]) == ("succeeded", "Chapter")
    num_segments = document["num_segments"]
    assert document["path"] == "out.wav"
    with wave.open(str(place / "out.wav")) as audio:
        assert audio.getnframes() / audio.getframerate() == pytest.approx(document["duration_s"], abs=0.01)
    for key in ("audio_key", "manifest_key"):
        assert store.exists(document[key].removeprefix(store._settings.s3_prefix))
    words = " ".join(run.lines("narrate", "chapter.txt", "-o", "again.wav", "--title", "Chapter"))
    assert f"{num_segments} of {num_segments}, {num_segments} of them made before" in words
    assert "audio.wav" in words
    assert (place / "again.wav").read_bytes() == (place / "out.wav").read_bytes()
    assert sorted(path.name for path in place.iterdir()) == ["again.wav", "chapter.txt", "out.wav"]


def test_a_bulk_file_is_submitted_watched_and_fetched_by_its_batch(start_worker, run, place, capsys):
    lines = [{"text": f"This is number {number}.", "format": "wav", "custom_id": f"n{number}"} for number in range(5)]
    (place / "jobs.jsonl").write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    assert main(["submit", "--manifest", "jobs.jsonl"]) == 0
    printed = capsys.readouterr()
    ids = printed.out.split()
    batch_id = printed.err.removeprefix("batch ").strip()
    assert len(ids) == 5
    assert [each["state"] for each in run.json("status", *ids)] == ["queued"] * 5
    start_worker("tone")
    assert main(["watch", *ids]) == 0
    printed = capsys.readouterr()
    assert all(each in printed.out for each in ids)
    assert "narrations" in printed.err
    (place / "out").mkdir()
    assert run.lines("fetch", "--batch", batch_id, "-o", "out") == [f"out/n{number}.wav" for number in range(5)]
    assert [document["path"] for document in run.json("fetch", ids[3], "-o", "one.wav")] == ["one.wav"]
    assert (place / "one.wav").read_bytes() == (place / "out" / "n3.wav").read_bytes()
    (address,) = run.lines("url", ids[3], "--expires", "60")
    with urllib.request.urlopen(address, timeout=10) as response:
        assert response.read() == (place / "one.wav").read_bytes()
    listed = run.json("list", "--batch", batch_id, "--state", "succeeded")
    assert {each["id"] for each in listed} == set(ids)
    assert len(run.json("list", "--limit", "2")) == 2


def test_what_cannot_be_fetched_is_named_and_the_exit_code_says_so(run, place, capsys):
    (narration_id,) = run.lines("submit", "chapter.txt")
    assert main(["fetch", narration_id]) == ExitCode.NOT_SUCCEEDED
    assert "is queued and has no audio" in capsys.readouterr().err
    run.json("watch", narration_id, "--timeout", "0.2", exit_code=ExitCode.TIMEOUT)
    assert run.lines("cancel", narration_id) == [f"{narration_id} cancelled"]
    assert run.json("watch", narration_id, exit_code=ExitCode.NOT_SUCCEEDED)[0]["state"] == "cancelled"
    for command in ("status", "watch", "fetch", "url", "cancel"):
        error = run.json(command, "a" * 26, exit_code=ExitCode.NOT_FOUND)["error"]
        assert error["code"] == "narration_not_found"
    assert [path.name for path in place.iterdir()] == ["chapter.txt"]


def test_a_manifest_with_bad_lines_queues_nothing(
    run, place, redis_client: Redis, settings: Settings, store: ObjectStore
):
    (place / "jobs.jsonl").write_text('{"text": "Fine."}\n{"text": "One.", "voice": "nobody"}\n{}\n', encoding="utf-8")
    error = run.json("submit", "--manifest", "jobs.jsonl", exit_code=ExitCode.INVALID_INPUT)["error"]
    assert [(fault["line"], fault["code"]) for fault in error["faults"]] == [(2, "voice_unknown"), (3, "missing_field")]
    assert list(redis_client.scan_iter(f"{settings.redis_prefix}*")) == []
    assert list(store.list_keys()) == []


def test_a_narration_that_fails_is_an_error_with_its_reason(run, settings: Settings, monkeypatch):
    submitted = Client.submit

    def submit_and_cancel(client: Client, narration: Narration):
        job = submitted(client, narration)
        job.cancel()
        return job

    monkeypatch.setattr(Client, "submit", submit_and_cancel)
    error = run.json("narrate", "chapter.txt", exit_code=ExitCode.NOT_SUCCEEDED)["error"]
    assert error["code"] == "narration_failed"
    assert "cancelled" in error["message"]


def test_a_voice_is_added_listed_and_removed(run, place, store: ObjectStore):
    (place / "ada.wav").write_bytes(speechlike_wav(4, rate_hz=24_000))
    document = run.json("voices", "add", "ada", "ada.wav", "--consent", "Ada Example agreed on 2026-01-01")
    assert (document["name"], document["duration_s"], document["sample_rate_hz"]) == ("ada", 4.0, 24_000)
    assert store.get(f"voices/{document['sha256']}.wav") == (place / "ada.wav").read_bytes()
    assert [voice["consent"] for voice in run.json("voices", "list")] == ["Ada Example agreed on 2026-01-01"]
    assert "ada" in " ".join(run.lines("voices", "list"))
    shown = run.json("voices", "show", "ada")
    assert (shown["key"], shown["consent"]) == (f"voices/{document['sha256']}.wav", document["consent"])
    assert run.lines("voices", "show", "ada")[1] == f"sha256     {document['sha256']}"
    assert run.lines("voices", "remove", "ada") == ["ada removed"]
    assert run.json("voices", "list") == []
    assert run.json("voices", "remove", "ada", exit_code=ExitCode.NOT_FOUND)["error"]["code"] == "voice_unknown"


def test_what_makes_a_voice_worse_is_said_with_its_code_and_kept(run, place, capsys):
    (place / "ada.wav").write_bytes(speechlike_wav(2, rate_hz=8_000))
    document = run.json("voices", "add", "ada", "ada.wav", "--consent", "yes")
    assert [warning["code"] for warning in document["warnings"]] == ["audio_short", "audio_low_rate"]
    assert run.json("voices", "show", "ada")["warnings"] == ["audio_short", "audio_low_rate"]
    assert main(["voices", "add", "ada", "ada.wav", "--consent", "yes"]) == ExitCode.OK
    assert "warning: it lasts 2.0 s; with 3 to 10 s a voice is caught better [audio_short]" in capsys.readouterr().err


def test_a_silent_voice_is_refused_and_nothing_is_stored(run, place, store: ObjectStore):
    (place / "quiet.wav").write_bytes(write_wav(array.array("h", bytes(128_000)), 16_000))
    error = run.json("voices", "add", "quiet", "quiet.wav", "--consent", "yes", exit_code=ExitCode.INVALID_INPUT)
    assert error["error"]["faults"][0]["code"] == "audio_silent"
    assert list(store.list_keys()) == []


def test_doctor_is_content_with_a_farm_and_names_its_workers(start_worker, run):
    start_worker("tone")
    findings = run.json("doctor")
    assert {finding["grade"] for finding in findings} == {"ok"}
    (worker,) = [finding for finding in findings if finding["subject"] == "worker"]
    assert "tone" in worker["text"]
    assert run.lines("doctor")


@pytest.mark.parametrize(("policy", "is_problem"), [("allkeys-lru", True), ("noeviction", False)])
def test_doctor_names_an_evicting_policy(run, redis_client: Redis, policy: str, is_problem: bool):
    redis_client.config_set("maxmemory-policy", policy)
    try:
        findings = run.json("doctor", exit_code=ExitCode.CONFIGURATION if is_problem else 0)
    finally:
        redis_client.config_set("maxmemory-policy", "noeviction")
    assert (
        any("allkeys-lru" in finding["text"] and "noeviction" in finding["remedy"] for finding in findings)
        is is_problem
    )


@pytest.mark.parametrize(
    ("variable", "value", "words", "doctor_words"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "the secret key is wrong", "the credentials are wrong"),
        ("AWS_ACCESS_KEY_ID", "nobody", "the access key is not known", "the credentials are wrong"),
        ("CHATTERQUEUE_S3_BUCKET", "no-such-bucket", "the bucket is not there", "the bucket is not there"),
    ],
)
def test_wrong_access_to_s3_is_named_by_commands_and_by_doctor(
    run, monkeypatch, variable: str, value: str, words: str, doctor_words: str
):
    monkeypatch.setenv(variable, value)
    error = run.json("submit", "chapter.txt", exit_code=ExitCode.UNAVAILABLE)["error"]
    assert (error["code"], words in error["message"]) == ("storage_unavailable", True)
    findings = run.json("doctor", exit_code=ExitCode.CONFIGURATION)
    (problem,) = [finding for finding in findings if finding["grade"] == "problem"]
    assert problem["subject"] == "S3"
    assert doctor_words in problem["text"]
    assert problem["remedy"]
