"""The files of the page: nothing from elsewhere, no markup made of text, colours that can be read, small files."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

STATIC = files("producer.page").joinpath("static")
TEXTS = {file.name: file.read_text("utf-8") for file in STATIC.iterdir()}
SCRIPTS = {name: text for name, text in TEXTS.items() if name.endswith(".js")}
LIGHT, DARK = TEXTS["colors.css"].split("@media")

#: What stands on what.
PAIRS = [
    ("ink", "paper"), ("ink", "raised"), ("quiet", "paper"), ("quiet", "raised"), ("waiting", "paper"),
    ("accent", "paper"), ("accent", "raised"), ("spoken-ink", "spoken"), ("flag", "paper"), ("ink", "flag-paper"),
    ("flag", "raised"), ("failure", "paper"), ("failure", "raised"), ("ink", "failure-paper"),
]  # fmt: skip


def luminance(color: str) -> float:
    """Relative luminance of `#rrggbb`, by WCAG 2.2."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("above", "below"), PAIRS, ids=" on ".join)
def test_text_stands_out(theme, above, below):
    """4.5 to 1 is what WCAG 2.2 AA asks of text."""
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", theme))
    dark, light = sorted(luminance(colors[name]) for name in (above, below))

    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_both_themes_name_the_same_colours_and_no_other_file_names_any():
    names = [re.findall(r"--([\w-]+):", theme) for theme in (LIGHT, DARK)]

    assert names[0] == names[1]
    assert not re.search(r"#[0-9a-f]{3,8}\b|rgb|hsl", TEXTS["style.css"])
    assert set(re.findall(r"var\(--([\w-]+)\)", TEXTS["style.css"])) == set(names[0])


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_makes_no_markup_of_text_and_runs_none(name):
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", SCRIPTS[name])
    assert not re.search(r"\.style\b|cssText|console\.|localStorage|document\.cookie", SCRIPTS[name])


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_comes_from_elsewhere(name):
    addresses = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", TEXTS[name])

    assert [address for address in addresses if address != "http://www.w3.org"] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_what_it_is_and_is_small(name):
    assert SCRIPTS[name].startswith("// ")
    assert len(SCRIPTS[name].splitlines()) <= 160


def test_every_import_names_a_file_and_every_script_is_reached():
    imported = {name for text in SCRIPTS.values() for name in re.findall(r'from "\./([\w.]+)"', text)}

    assert imported | {"main.js"} == set(SCRIPTS)
    assert "<script>" not in TEXTS["index.html"]
    assert not re.search(r"\son\w+=|style=", TEXTS["index.html"])
