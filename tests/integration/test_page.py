"""The page's API on a real Valkey and a real S3 server: what it answers, and whom."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import redis
from handwork import HandFarm
from pagevisitor import TOKEN, Visitor
from processes import wait_for
from pydantic import SecretStr

from producer.contract.keys import manifest_key, new_id, subtitles_key
from producer.contract.manifest import Manifest
from producer.contract.settings import Settings
from producer.page.page import Page
from producer.page.settings import PageSettings

pytestmark = pytest.mark.integration


@pytest.fixture
def farm(settings: Settings, tmp_path: Path) -> HandFarm:
    return HandFarm(settings, tmp_path)


@pytest.fixture
def page(settings: Settings) -> Iterator[Page]:
    with Page(settings, PageSettings(token=SecretStr(TOKEN), hosts="farm.example"), port=0) as running:
        yield running


@pytest.fixture
def visitor(page: Page) -> Visitor:
    return Visitor(page)


def flag(farm: HandFarm, narration_id: str, index: int, *flags: str) -> None:
    """Have the real manifest say that a segment should be listened to."""
    manifest = farm.manifest(narration_id)
    segments = list(manifest.segments)
    segments[index] = segments[index].model_copy(update={"flags": flags, "score": 0.4})
    changed = manifest.model_copy(update={"segments": tuple(segments)})
    farm.store.put(manifest_key(narration_id), changed.model_dump_json().encode(), "application/json")


def test_the_list_says_where_each_narration_stands_the_newest_first(farm, visitor):
    running = farm.begin(4, num_done=1, title="A book")
    finished = farm.finish(2, custom_id="a-story")
    answer = visitor.get("/api/narrations")

    assert answer.status == 200
    first, second = answer.document["narrations"]
    assert (first["id"], first["state"], first["custom_id"], first["progress"]) == (
        finished, "succeeded", "a-story", 1.0,
    )  # fmt: skip
    assert (first["has_ended"], first["has_audio"], first["eta_s"]) == (True, True, 0.0)
    assert first["duration_s"] > 1
    assert (second["id"], second["state"], second["title"], second["progress"]) == (running, "running", "A book", 0.25)
    assert (second["num_segments"], second["num_done"], second["has_ended"]) == (4, 1, False)
    assert second["eta_s"] > 0
    assert second["real_time_factor"] > 0
    assert [each["id"] for each in visitor.get("/api/narrations?limit=1").document["narrations"]] == [finished]
    assert [each["id"] for each in visitor.get("/api/narrations?state=running").document["narrations"]] == [running]


def test_a_running_narration_has_its_text_and_which_segments_are_done(farm, visitor):
    narration_id = farm.begin(5, num_done=2)
    farm.speak(narration_id, [3])
    document = visitor.get(f"/api/narrations/{narration_id}").document
    progress = visitor.get(f"/api/narrations/{narration_id}/progress").document

    assert [segment["state"] for segment in document["segments"]] == ["done", "done", "waiting", "done", "waiting"]
    assert document["segments"][4]["text"] == "This is paragraph number 4 of a text for a test."
    assert not any("offset_s" in segment for segment in document["segments"])
    assert (progress["done"], progress["failed"]) == ([[0, 1], [3, 3]], [])
    assert progress["status"]["num_done"] == 3
    assert "segments" not in progress
    farm.speak(narration_id, [2])
    assert visitor.get(f"/api/narrations/{narration_id}/progress").document["done"] == [[0, 3]]


def test_a_queued_narration_has_no_segments_yet(farm, visitor):
    document = visitor.get(f"/api/narrations/{farm.enter(3)}").document

    assert document["status"]["state"] == "queued"
    assert (document["segments"], document["chapters"]) == ([], [])


def test_a_finished_narration_has_each_segments_place_and_what_is_flagged(farm, visitor):
    narration_id = farm.finish(3)
    flag(farm, narration_id, 1, "long_silence")
    segments = visitor.get(f"/api/narrations/{narration_id}").document["segments"]
    manifest = farm.manifest(narration_id)

    assert [segment["offset_s"] for segment in segments] == [segment.offset_s for segment in manifest.segments]
    assert [segment["duration_s"] for segment in segments] == [segment.duration_s for segment in manifest.segments]
    assert (segments[1]["flags"], segments[1]["score"]) == (["long_silence"], 0.4)
    assert "flags" not in segments[0]


def test_a_segment_that_failed_says_why(farm, visitor, redis_client: redis.Redis):
    narration_id = farm.begin(2, num_done=2)
    farm.assembler.run(narration_id)
    manifest = farm.manifest(narration_id)
    gap = {"is_present": False, "key": None, "error_code": "poisoned", "error": "it ended two processes"}
    segments = (manifest.segments[0], manifest.segments[1].model_copy(update=gap))
    changed = manifest.model_copy(update={"segments": segments})
    farm.store.put(manifest_key(narration_id), changed.model_dump_json().encode(), "application/json")
    segment = visitor.get(f"/api/narrations/{narration_id}").document["segments"][1]

    assert (segment["state"], segment["error_code"], segment["error"]) == (
        "failed", "poisoned", "it ended two processes",
    )  # fmt: skip
    assert segment["text"].startswith("This is paragraph number 1")


def test_a_link_leads_to_the_audio_and_answers_the_ranges_that_a_player_asks_for(farm, visitor):
    narration_id = farm.finish(2)
    farm.store.put(subtitles_key(narration_id, "srt"), b"1\n", "application/x-subrip")
    links = visitor.get(f"/api/narrations/{narration_id}/links").document
    with urlopen(Request(links["audio"], headers={"Range": "bytes=0-3"})) as part:
        head, status, headers = part.read(), part.status, part.headers

    assert (head, status) == (b"fLaC", 206)
    assert headers["Content-Range"] == f"bytes 0-3/{farm.status(narration_id).size_bytes}"
    assert headers["Content-Type"] == "audio/flac"
    assert headers["Accept-Ranges"] == "bytes"
    assert "content-disposition" not in links["audio"]
    assert "response-content-disposition=attachment" in links["download"]
    assert set(links["subtitles"]) == {"srt", "vtt", "json"}
    with urlopen(links["subtitles"]["srt"]) as srt:
        assert srt.read() == b"1\n"


def test_links_are_signed_for_the_address_that_browsers_reach(settings, farm):
    narration_id = farm.finish(1)
    public = settings.model_copy(update={"s3_public_endpoint_url": "https://audio.example.org"})
    with Page(public, PageSettings(token=SecretStr(TOKEN)), port=0) as page:
        links = Visitor(page).get(f"/api/narrations/{narration_id}/links")
        assert links.document["audio"].startswith("https://audio.example.org/")
        assert "media-src https://audio.example.org;" in links.headers["content-security-policy"]


def test_without_audio_there_is_no_link(farm, visitor):
    unfinished, cancelled = farm.begin(2), farm.begin(2)
    farm.ledger.cancel(cancelled)
    for narration_id, code in ((unfinished, "narration_unfinished"), (cancelled, "narration_failed")):
        answer = visitor.get(f"/api/narrations/{narration_id}/links")
        assert (answer.status, answer.document["error"]["code"]) == (409, code)
    assert visitor.get(f"/api/narrations/{cancelled}").document["status"]["state"] == "cancelled"


def test_nobody_reads_without_the_token(page, farm):
    narration_id = farm.enter(1)
    stranger = Visitor(page, token=None)
    for authorization in (None, "", "Bearer", "Bearer ", "Bearer wrong-token-wrong-token", f"Bearer {TOKEN}x", TOKEN):
        headers = {} if authorization is None else {"Authorization": authorization}
        for path in ("", f"/{narration_id}", f"/{narration_id}/progress", f"/{narration_id}/links", "/nothing"):
            answer = stranger.get(f"/api/narrations{path}", headers=headers)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert narration_id.encode() not in answer.body


def test_the_token_is_taken_from_a_header_alone(page):
    stranger = Visitor(page, token=None)

    assert stranger.get("/api/narrations", headers={"Authorization": f"bearer {TOKEN}"}).status == 200
    assert stranger.get(f"/api/narrations?token={TOKEN}").status == 401
    assert stranger.get("/api/narrations", headers={"Cookie": f"token={TOKEN}"}).status == 401


def test_every_method_but_get_is_refused(visitor):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND"):
        for path in ("/", "/api/narrations"):
            answer = visitor.ask(method, path)
            assert (answer.status, answer.headers["allow"]) == (405, "GET"), method


PATHS = [
    "/../settings.py", "/..%2fsettings.py", "/%2e%2e/%2e%2e/pyproject.toml", "/static/main.js", "/main.js/",
    "//etc/passwd", "/....//....//etc/passwd", "/..\\settings.py", "/main.js%00", "/index.html", "/api", "/api/",
    "/api/narrations/", "/api/narrations/..", "/api/narrations/../../x", "/api/narrations/%2e%2e%2f%2e%2e",
    "/api/narrations/" + "a" * 25, "/api/narrations/" + "A" * 26, "/api/narrations/" + "1" * 26,
    "/api/narrations/" + "a" * 26, "/api/narrations/" + "a" * 26 + "/links", "/api/narrations/*/links",
    "/api/narrations/" + "a" * 26 + "/audio.mp3",
]  # fmt: skip


def test_a_path_that_names_nothing_gets_nothing(visitor):
    for path in PATHS:
        answer = visitor.get(path)
        assert answer.status == 404, path
        assert len(answer.body) < 300


def test_a_query_that_makes_no_sense_is_refused(visitor):
    for query in ("limit=0", "limit=501", "limit=-1", "limit=1e2", "limit=%D9%A3", "limit=", "state=done"):
        assert visitor.get(f"/api/narrations?{query}").status == 400, query


def test_a_name_that_somebody_has_lead_here_is_refused(visitor):
    for host in ("evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:80", "farm.example.", "a b"):
        for path in ("/", "/api/narrations"):
            assert visitor.get(path, host=host).status in {400, 421}, host


def test_an_address_and_a_name_of_ours_are_known(visitor):
    for host in ("localhost:8090", "127.0.0.1", "[::1]:8090", "10.0.0.5:80", "farm.example", "FARM.example:1"):
        assert visitor.get("/api/narrations", host=host).status == 200, host


def test_every_answer_says_what_a_browser_may_do_with_it(visitor, settings):
    paths = {"/": 200, "/main.js": 200, "/style.css": 200, "/api/narrations": 200, "/api/narrations/x": 404}
    answers = [visitor.get(path) for path in paths]
    refused = [visitor.ask("POST", "/"), visitor.get("/", host="evil.example"), Visitor.get(visitor, "/nothing")]

    assert [answer.status for answer in answers] == list(paths.values())
    for answer in (*answers, *refused):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; ")
        assert f"media-src {settings.s3_endpoint_url};" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers
        assert "set-cookie" not in answer.headers
    assert all(a.headers["cache-control"] == "no-store" for a in (*answers[3:], *refused))
    assert answers[1].headers["content-type"].startswith("text/javascript")


def test_looking_changes_nothing(farm, visitor, redis_client: redis.Redis, settings: Settings):
    running, finished = farm.begin(3, num_done=1), farm.finish(1)
    redis_client.zadd(f"{settings.redis_prefix}narrations", {new_id(): 1})  # whose record has expired

    def everything() -> tuple[dict[bytes, bytes], list[str]]:
        names = sorted(redis_client.scan_iter(f"{settings.redis_prefix}*"))
        return {name: redis_client.dump(name) for name in names}, sorted(farm.store.list_keys())

    before = everything()
    assert len(visitor.get("/api/narrations").document["narrations"]) == 2
    for narration_id in (running, finished):
        for path in ("", "/progress", "/links"):
            visitor.get(f"/api/narrations/{narration_id}{path}")
    assert everything() == before


def test_a_server_that_is_gone_is_named_and_the_page_goes_on(settings, farm):
    narration_id = farm.finish(1)
    gone = settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"})
    with Page(gone, PageSettings(token=SecretStr(TOKEN)), port=0) as page:
        answer = Visitor(page).get(f"/api/narrations/{narration_id}")
        assert (answer.status, answer.document["error"]["code"]) == (503, "storage_unavailable")
        assert Visitor(page).get("/api/narrations").status == 200
    gone = settings.model_copy(update={"redis_url": SecretStr("redis://:a-password@127.0.0.1:1/0")})
    with Page(gone, PageSettings(token=SecretStr(TOKEN)), port=0) as page:
        answer = Visitor(page).get("/api/narrations")
        assert (answer.status, answer.document["error"]["code"]) == (503, "queue_unavailable")
        assert b"a-password" not in answer.body


def test_neither_text_nor_token_is_logged_even_by_a_bug(farm, visitor, caplog):
    """A record that cannot be read is quoted in pydantic's own error."""
    caplog.set_level(logging.DEBUG)
    narration_id = farm.finish(1)
    manifest = farm.store.get(manifest_key(narration_id)).decode()
    broken = re.sub(r'"num_chars":\d+', '"num_chars":"a secret sentence"', manifest)
    farm.store.put(manifest_key(narration_id), broken.encode(), "application/json")
    answer = visitor.get(f"/api/narrations/{narration_id}")

    assert (answer.status, answer.document["error"]["code"]) == (500, "internal")

    def ours() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name.startswith(("producer", "uvicorn"))]

    wait_for(lambda: bool(ours()), "the line, which is written once the answer has been sent")
    assert ours() == ["page_request_failed: ValidationError"]
    for secret in ("a secret sentence", "paragraph", TOKEN):
        assert secret not in caplog.text
        assert secret.encode() not in answer.body
    assert Manifest.model_validate_json(manifest).narration_id == narration_id
