"""The pictures of docs/page.md, taken of the real page in a real browser: `python -m bench.page_pictures [FOLDER]`.

An embedded stack, a worker with the draft voice, and the example chapter, once and several times over. The flag in the
third picture is written into the real manifest, because a good voice makes none while one waits.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from bench.browser import browser, missing_program
from producer import Client, Narration, Settings
from producer.cli.localstack import local_stack
from producer.contract.chapter import Chapter
from producer.contract.keys import manifest_key
from producer.page.page import Page
from producer.page.settings import PageSettings
from producer.storage import ObjectStore

Found = TypeVar("Found")

ROOT: Final = Path(__file__).resolve().parent.parent
EXAMPLE: Final = ROOT / "examples" / "texts" / "the-lamp-at-hollow-point.txt"
TITLE: Final = "The Lamp at Hollow Point"
#: Where its chapters begin.
HEADINGS: Final = (
    "THE LAMP AT HOLLOW POINT",
    "One Hundred and Twelve Steps",
    "The List",
    "The Night of the Margaret Ellen",
    "What the Register Said",
    "Other Remarks",
)

#: How often the long narration says the chapter, so that it is still running when the picture is taken.
TIMES: Final = 6
#: Segments that are flagged and failed in the picture of one that should be listened to.
FLAGGED: Final = 9
FAILED: Final = 12
#: Seconds for anything to happen.
PATIENCE_S: Final = 300.0


def main(folder: Path) -> None:
    """Make every picture."""
    missing = missing_program()
    if missing is not None:
        sys.exit(missing)
    with (
        tempfile.TemporaryDirectory() as place,
        local_stack(Path(place) / "stack", engine="draft"),
        Client() as client,
        Page(Settings.load(), PageSettings(), port=0) as page,
    ):
        finished = client.submit(narration(TITLE, 1)).id
        client.wait(finished, PATIENCE_S)
        flagged = client.submit(narration(f"{TITLE}, once more", 1)).id
        client.wait(flagged, PATIENCE_S)
        flag(client, flagged)
        with browser(Path(place) / "light", height=760) as chrome:
            running(chrome, page, client, folder)
            ended(chrome, finished, flagged, folder)
        with browser(Path(place) / "dark", height=760, is_dark=True) as chrome:
            chrome.get(page.link)
            play(chrome, flagged, FLAGGED)
            chrome.save_screenshot(folder / "page-dark.png")
    for path in sorted(folder.glob("page-*.png")):
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def running(chrome: Chrome, page: Page, client: Client, folder: Path) -> None:
    """Take the pictures of what is under way: the browser is there before the narration, which takes a minute."""
    chrome.get(page.link)
    wait(lambda: chrome.find_elements(By.CSS_SELECTOR, "tbody tr"), "the list")
    job = client.submit(narration("All the Lamps", TIMES))
    wait(lambda: " left" in chrome.find_element(By.CSS_SELECTOR, "tbody").text, "progress")
    chrome.find_element(By.LINK_TEXT, "All the Lamps").click()
    wait(lambda: chrome.find_elements(By.CSS_SELECTOR, ".segment:not(.waiting)"), "the text")
    chrome.save_screenshot(folder / "page-running.png")
    chrome.back()
    is_a_quarter = "return document.querySelector('tbody progress')?.value >= 0.25"
    wait(lambda: chrome.execute_script(is_a_quarter), "more progress")
    chrome.save_screenshot(folder / "page-list.png")
    job.cancel()


def ended(chrome: Chrome, finished: str, flagged: str, folder: Path) -> None:
    """Take the pictures of narrations that can be heard."""
    play(chrome, finished, 24)
    chrome.save_screenshot(folder / "page-finished.png")
    play(chrome, flagged, FLAGGED)
    chrome.save_screenshot(folder / "page-flagged.png")


def play(chrome: Chrome, narration_id: str, index: int) -> None:
    """Open a narration and play one of its segments for a second."""
    chrome.execute_script("location.hash = arguments[0]", f"#/narrations/{narration_id}")
    is_ready = "return document.querySelector('audio')?.readyState >= 2"
    wait(lambda: chrome.execute_script(is_ready), "audio")
    segment = wait(lambda: chrome.find_elements(By.CSS_SELECTOR, f'.segment[data-index="{index}"]'), "the segment")[0]
    chrome.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", segment)
    segment.click()
    wait(lambda: "spoken" in segment.get_attribute("class"), "the voice")
    time.sleep(1.0)
    chrome.execute_script("document.querySelector('audio').pause()")


def narration(title: str, times: int) -> Narration:
    """Return the example chapter, one or more times over, with its headings as chapters."""
    one = EXAMPLE.read_text("utf-8").strip() + "\n\n"
    starts = [(heading, at * len(one) + one.index(heading)) for at in range(times) for heading in HEADINGS]
    chapters = tuple(Chapter(title=heading.capitalize(), start=start) for heading, start in starts)
    return Narration(text=one * times, title=title, engine="draft", format="mp3", chapters=chapters)


def flag(client: Client, narration_id: str) -> None:
    """Write into a manifest that one segment should be listened to and that another was not spoken."""
    manifest = client.manifest(narration_id)
    segments = list(manifest.segments)
    segments[FLAGGED] = segments[FLAGGED].model_copy(update={"flags": ("long_silence",), "score": 0.41})
    gap = {"is_present": False, "error_code": "poisoned"}
    segments[FAILED] = segments[FAILED].model_copy(update=gap)
    changed = manifest.model_copy(update={"segments": tuple(segments)}).model_dump_json().encode()
    ObjectStore.connect(Settings.load()).put(manifest_key(narration_id), changed, "application/json")


def wait(condition: Callable[[], Found], what: str) -> Found:
    """Return what a condition returns as soon as it is true."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        if time.monotonic() > deadline_s:
            sys.exit(f"{what}: not there after {PATIENCE_S:g} s")
        time.sleep(0.1)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images")
