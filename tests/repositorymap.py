"""The map in README.md, made from the first line of every file: `python tests/repositorymap.py` writes it.

What a file is stands in the file; the map repeats it, and a test compares the two.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
README: Final = ROOT / "README.md"
BLOCK: Final = re.compile(r"(^## The map\n.*?^```\w*\n)(.*?)(^```$)", re.MULTILINE | re.DOTALL)

#: What has no docstring.
OTHERS: Final = {
    "tests/": "unit, integration and gpu tiers, and what they share",
    "bench/": "benchmarks; what they printed is in bench/results/",
    "examples/": "a chapter to narrate, and a script that takes a whole book from a package",
    "docs/": "architecture, decisions, deployment, acceptance list",
    "requirements/": "compiled, pinned by hash; `make requirements` renews them",
    "Makefile": "every word that is typed here: `make help`",
    "compose.yaml": "the farm in containers",
    "Dockerfile": "the worker's image, with or without GPU",
    "pyproject.toml": "packages, extras, and the rules of every tool",
}


def files() -> list[Path]:
    """Return the files that the map must name, relative to the root, folders before what is in them."""
    found = [
        path.relative_to(ROOT)
        for package in ("producer", "worker")
        for pattern in ("*.py", "*.lua")
        for path in (ROOT / package).rglob(pattern)
    ]
    return sorted(found, key=lambda path: (path.parent.as_posix(), path.name != "__init__.py", path.name))


def what_it_is(path: Path) -> str:
    """Return the first sentence that a file says about itself."""
    text = (ROOT / path).read_text("utf-8")
    if path.suffix == ".py":
        said = (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]
    else:
        comment = re.search(r"^(?:-- .*\n)+", text, re.MULTILINE)
        said = " ".join(line.removeprefix("-- ") for line in comment[0].splitlines()) if comment else ""
        said = re.split(r"(?<=\.) ", said)[0]
    return said.rstrip(".")


def lines() -> list[str]:
    """Return the map: one line a file; a package's own line is that of its folder."""
    names = {
        f"{path.parent.as_posix()}/" if path.name == "__init__.py" else path.as_posix(): what_it_is(path)
        for path in files()
    } | OTHERS
    width = max(map(len, names)) + 2
    return [f"{name:<{width}}{what}" for name, what in names.items()]


def main() -> None:
    """Write the map into README.md."""
    block = "".join(f"{line}\n" for line in lines())
    README.write_text(BLOCK.sub(lambda found: found[1] + block + found[3], README.read_text("utf-8"), count=1), "utf-8")


if __name__ == "__main__":
    main()
