"""A real browser that a test or a script drives, without a screen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

#: Names under which Chromium and its driver are installed.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    # A browser that looks for nobody but the page.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
    "--force-color-profile=srgb",
    "--lang=en",
)


def missing_program() -> str | None:
    """Return which program a browser test lacks, or None."""
    if not any(shutil.which(name) for name in PROGRAMS):
        return "no Chromium is installed (Debian: apt install chromium chromium-driver)"
    return None if shutil.which(DRIVER) else "no chromedriver is installed (Debian: apt install chromium-driver)"


@contextmanager
def browser(folder: Path, *, width: int = 1200, height: int = 850, is_dark: bool = False) -> Iterator[Chrome]:
    """Run a browser that knows nothing yet; its profile lies in `folder`."""
    options = ChromeOptions()
    options.binary_location = next(found for found in map(shutil.which, PROGRAMS) if found)
    for flag in (*FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(shutil.which(DRIVER)))
    try:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield driver
    finally:
        driver.quit()
