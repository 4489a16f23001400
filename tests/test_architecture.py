"""The shape of the project: who may import whom, what importing costs, and that the documents tell the truth."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest
import repositorymap
from processes import ROOT

#: What the producer must not load: all of it belongs to the worker.
HEAVY = (
    "torch",
    "torchaudio",
    "numpy",
    "av",
    "soundfile",
    "transformers",
    "chatterbox",
    "hibari",
    "onnxruntime",
    "worker",
)

PACKAGES = [
    path.parent.relative_to(ROOT) for name in ("producer", "worker") for path in (ROOT / name).rglob("__init__.py")
]
TEST_NAME = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def public_names(package) -> list[str] | None:
    for node in ast.parse((ROOT / package / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


def test_nobody_imports_whom_they_may_not():
    linted = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("module", ["producer", "producer.cli"])
def test_the_producer_loads_nothing_that_belongs_to_the_worker(module):
    script = f"import {module}, sys; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in ran.stdout.split()}
    total_us = next(line.split("|")[1] for line in ran.stderr.splitlines() if line.endswith(f"| {module}"))
    print(f"import {module}: {int(total_us) / 1e6:.2f} s")  # noqa: T201 - shown with -s; never asserted

    assert not loaded.intersection(HEAVY)


@pytest.mark.parametrize("package", PACKAGES, ids=str)
def test_public_names_are_sorted_and_there(package):
    names = public_names(package)
    if names is None:
        return
    defined = {
        name.asname or name.name
        for node in ast.walk(ast.parse((ROOT / package / "__init__.py").read_text()))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    } | {"__version__"}

    assert names == sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert set(names) <= defined


def test_the_readmes_map_is_the_tree():
    found = repositorymap.BLOCK.search(repositorymap.README.read_text())

    assert found is not None, "README.md has no section `## The map` with a code block"
    assert found[2].splitlines() == repositorymap.lines(), "run: python tests/repositorymap.py"


def test_every_file_says_what_it_is():
    silent = [str(path) for path in repositorymap.files() if not repositorymap.what_it_is(path)]

    assert silent == []
    assert all((ROOT / name).exists() for name in repositorymap.OTHERS)


def acceptance_lines():
    path = ROOT / "docs" / "acceptance.md"
    return re.findall(r"^- .*(?:\n  .*)*", path.read_text(), re.MULTILINE) if path.exists() else []


def test_every_line_of_the_acceptance_list_names_a_test_that_exists():
    lines = acceptance_lines()
    assert lines, "docs/acceptance.md has no list"
    faults = []
    for line in lines:
        named = TEST_NAME.findall(line)
        if not named:
            faults.append(f"names no test: {line}")
        for path, function in named:
            text = (ROOT / path).read_text() if (ROOT / path).is_file() else None
            if text is None or (function and not re.search(rf"^ *def {function}\(", text, re.MULTILINE)):
                faults.append(f"no such test: {path}::{function}")

    assert faults == []


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", "docs/deploy.md", ".github/workflows/ci.yml", ".ci/run"]
)
def test_every_word_for_make_that_a_document_names_is_in_the_makefile(document):
    words = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = (ROOT / document).read_text()
    named = set(re.findall(r"(?:^|`|run: )make ([a-z]+)", text, re.MULTILINE))

    assert named <= words


def test_actions_are_pinned_by_commit():
    for used in re.findall(r"uses: (.*)", (ROOT / ".github" / "workflows" / "ci.yml").read_text()):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", used)
