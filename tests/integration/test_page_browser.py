"""The page in a real browser: what is seen, heard, clicked and typed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from handwork import HandFarm
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from bench.browser import browser, missing_program
from producer.contract.keys import manifest_key, plan_key
from producer.contract.manifest import Manifest, ManifestChapter
from producer.contract.plan import Plan, PlanChapter
from producer.contract.settings import Settings
from producer.page.page import Page
from producer.page.settings import PageSettings
from producer.stack import EmbeddedStack

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(missing_program() is not None, reason=missing_program() or ""),
]

#: Seconds for anything in a browser, on a busy machine.
PATIENCE_S = 60.0

#: A text that would be markup if anybody let it.
MARKUP = '<img src=x onerror="document.title=1"><b>bold</b>'


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def farm(stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandFarm]:
    """One for all tests here: what each of them looks at is its own narration."""
    with pytest.MonkeyPatch.context() as patch:
        name = "test-page-browser"
        for variable, value in stack.environment().items():
            patch.setenv(variable, value)
        yield HandFarm(Settings.load(redis_prefix=f"{name}:", s3_prefix=name), tmp_path_factory.mktemp("farm"))


@pytest.fixture(scope="module")
def page(farm: HandFarm) -> Iterator[Page]:
    with Page(farm.settings, PageSettings(), port=0) as running:
        yield running


class Reader:
    """Somebody in front of the page."""

    def __init__(self, chrome: Chrome, page: Page) -> None:
        self.chrome = chrome
        chrome.get("about:blank")
        chrome.get_log("browser")
        chrome.get(page.link)
        self.wait(lambda: self.find("h1"), "the first view")

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        return WebDriverWait(self.chrome, PATIENCE_S, poll_frequency=0.1).until(lambda _: condition(), what)

    def find(self, selector: str) -> list[WebElement]:
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.wait(lambda: self.find(selector), selector)[0]

    def run(self, script: str, *arguments: Any) -> Any:
        return self.chrome.execute_script(script, *arguments)

    def time_s(self) -> float:
        return self.run("return document.querySelector('audio').currentTime")

    def open(self, narration_id: str) -> None:
        self.run("location.hash = arguments[0]", f"#/narrations/{narration_id}")
        self.one(".segment")

    def can_play(self) -> None:
        self.wait(lambda: self.run("return document.querySelector('audio')?.readyState >= 2"), "audio")
        self.run(
            "window.jumps = []; const audio = document.querySelector('audio');"
            "audio.addEventListener('seeking', () => window.jumps.push(audio.currentTime))"
        )

    def jumps_to(self, offset_s: float) -> None:
        """What was just picked is where the player jumps, and not where it comes by."""
        self.wait(lambda: self.run("return window.jumps.length"), "a jump")
        jumped_s = self.run("const [first] = window.jumps; window.jumps = []; return first")
        assert jumped_s == pytest.approx(offset_s, abs=0.01)

    def says_nothing_wrong(self) -> None:
        """The browser's console holds what the policy refused, and what a script threw."""
        assert [entry["message"] for entry in self.chrome.get_log("browser")] == []


@pytest.fixture
def reader(chrome: Chrome, page: Page) -> Reader:
    return Reader(chrome, page)


def store(farm: HandFarm, manifest: Manifest) -> None:
    farm.store.put(manifest_key(manifest.narration_id), manifest.model_dump_json().encode(), "application/json")


def test_the_token_leaves_the_address_and_stays_in_the_tab(reader, page, farm):
    assert reader.chrome.current_url == f"{page.address}#/"
    requests = "return performance.getEntriesByType('resource').map((entry) => entry.name).join()"
    assert "/api/narrations" in reader.wait(lambda: reader.run(requests), "requests")
    assert "token" not in reader.run(requests)
    assert reader.chrome.get_cookies() == []
    reader.chrome.refresh()
    reader.one("table")
    reader.run("sessionStorage.clear()")
    reader.chrome.refresh()
    reader.one("#token").send_keys("a-token-that-is-not-it", Keys.ENTER)
    reader.wait(lambda: "not, or no longer" in reader.one("main").text, "the refusal")
    reader.one("#token").send_keys(page.link, Keys.ENTER)  # the whole address may be pasted
    reader.one("table")


def test_a_running_narration_shows_progress_that_moves_and_then_its_audio(reader, farm):
    narration_id = farm.begin(4, num_done=1, title=MARKUP)
    row = f'tr[data-id="{narration_id}"]'
    assert reader.one(f"{row} progress").is_displayed()
    reader.wait(lambda: "25 % · 1 of 4 segments" in reader.one(row).text, "the first quarter")
    farm.speak(narration_id, [1])
    reader.wait(lambda: "50 % · 2 of 4 segments · about" in reader.one(row).text, "the second one, and how long to go")
    reader.one(f"{row} a").click()
    reader.wait(lambda: reader.find("main progress") and len(reader.find(".segment.waiting")) == 2, "two to come")
    assert reader.one("h1").text == MARKUP
    farm.speak(narration_id, [3])
    reader.wait(lambda: len(reader.find(".segment.waiting")) == 1, "one to come")
    assert reader.run("return document.querySelector('main progress').value") == 0.75
    assert "running, 70 %" in reader.run("return document.getElementById('announcer').textContent")
    farm.speak(narration_id, [2])
    farm.assembler.run(narration_id)
    reader.can_play()
    assert "succeeded" in reader.one("main").text
    assert not reader.one("main progress").is_displayed()
    reader.says_nothing_wrong()


def test_a_finished_one_plays_and_a_sentence_is_heard_when_it_is_clicked(reader, farm):
    narration_id = farm.finish(8)
    places = farm.manifest(narration_id).segments
    reader.open(narration_id)
    reader.can_play()
    segments = reader.find(".segment")
    segments[3].click()
    reader.jumps_to(places[3].offset_s)
    reader.wait(lambda: reader.time_s() > places[3].offset_s, "the time goes on")
    reader.wait(lambda: "spoken" in segments[4].get_attribute("class"), "the next one is marked when it is heard")
    assert len(reader.find(".segment.spoken")) == 1

    reader.run("document.querySelector('audio').pause()")
    segments[1].click()
    reader.jumps_to(places[1].offset_s)
    reader.run("document.querySelector('audio').pause()")
    segments[1].send_keys(Keys.ARROW_DOWN)
    assert reader.run("return document.activeElement.dataset.index") == "2"
    reader.chrome.switch_to.active_element.send_keys(Keys.END)  # no key of ours: it stays
    reader.chrome.switch_to.active_element.send_keys(Keys.ENTER)
    reader.jumps_to(places[2].offset_s)
    reader.says_nothing_wrong()


def test_a_flagged_segment_and_one_that_failed_are_marked_and_listed_with_a_jump(reader, farm):
    narration_id = farm.finish(6)
    manifest = farm.manifest(narration_id)
    segments = list(manifest.segments)
    segments[2] = segments[2].model_copy(update={"flags": ("repeated_tokens", "long_silence"), "score": 0.41})
    segments[4] = segments[4].model_copy(update={"is_present": False, "key": None, "error_code": "poisoned"})
    store(farm, manifest.model_copy(update={"segments": tuple(segments)}))
    reader.open(narration_id)
    reader.can_play()

    assert [node.get_attribute("data-index") for node in reader.find(".segment.flagged")] == ["2"]
    assert [node.get_attribute("data-index") for node in reader.find(".segment.failed")] == ["4"]
    marks = [node.text for node in reader.find(".mark")]
    assert marks == ["⚑ repeated tokens, long silence (score 41 %)", "⚑ not spoken: poisoned"]
    listed = reader.find(".aside button")
    assert [button.get_attribute("class") for button in listed] == ["flagged", "failed"]
    assert listed[0].text.startswith("0:02 · repeated tokens, long silence")
    listed[0].click()
    reader.jumps_to(segments[2].offset_s)
    reader.says_nothing_wrong()


def test_chapters_lead_to_their_first_sentence(reader, farm):
    narration_id = farm.finish(6)
    manifest, plan = farm.manifest(narration_id), Plan.model_validate_json(farm.store.get(plan_key(narration_id)))
    firsts = (0, 4)
    chapters = [
        PlanChapter(title=f"Chapter {at}", start=0, end=9, first_segment=first, num_segments=2)
        for at, first in enumerate(firsts, 1)
    ]
    places = [
        ManifestChapter(
            index=at, title=chapter.title, start=0, end=9, num_segments=2, num_failed=0, num_flagged=0,
            offset_s=manifest.segments[firsts[at]].offset_s, duration_s=1.0,
        )
        for at, chapter in enumerate(chapters)
    ]  # fmt: skip
    changed = plan.model_copy(update={"chapters": tuple(chapters)})
    farm.store.put(plan_key(narration_id), changed.model_dump_json().encode(), "application/json")
    store(farm, manifest.model_copy(update={"chapters": tuple(places)}))
    reader.open(narration_id)
    reader.can_play()

    assert [node.text for node in reader.find(".text .chapter")] == ["Chapter 1", "Chapter 2"]
    reader.find(".aside button")[1].click()
    reader.jumps_to(places[1].offset_s)
    assert reader.find(".aside button")[1].get_attribute("aria-current") == "true"


def test_a_book_of_five_thousand_segments_is_there_and_what_is_heard_comes_into_view(reader, farm):
    """Its plan and manifest are made of a short one's; the audio is that of the short one."""
    narration_id = farm.finish(3)
    plan, manifest = Plan.model_validate_json(farm.store.get(plan_key(narration_id))), farm.manifest(narration_id)
    long_plan = [plan.segments[0].model_copy(update={"index": at, "text": f"{MARKUP} {at}"}) for at in range(5_000)]
    long = [manifest.segments[0].model_copy(update={"index": at, "offset_s": at * 0.0005}) for at in range(5_000)]
    changed = plan.model_copy(update={"segments": tuple(long_plan)})
    farm.store.put(plan_key(narration_id), changed.model_dump_json().encode(), "application/json")
    store(farm, manifest.model_copy(update={"segments": tuple(long)}))
    reader.open(narration_id)
    reader.can_play()
    reader.wait(lambda: reader.run("return document.querySelectorAll('.segment').length") == 5_000, "the whole text")
    reader.run("document.querySelector('audio').currentTime = 2.4")
    is_in_view = (
        "const spoken = document.querySelector('.segment.spoken')?.getBoundingClientRect();"
        "return Boolean(spoken) && spoken.top > 0 && spoken.bottom < innerHeight"
    )
    reader.wait(lambda: reader.run(is_in_view), "what is heard is in view")
    assert reader.one(".segment.spoken").text.startswith(MARKUP)
    assert int(reader.one(".segment.spoken").get_attribute("data-index")) >= 4_800
    assert reader.find("article img") == []
    reader.says_nothing_wrong()


def test_markup_in_a_text_could_not_become_markup_even_by_mistake(reader, farm):
    with pytest.raises(Exception, match="TrustedHTML"):
        reader.run("document.body.innerHTML = '<b>no</b>'")
