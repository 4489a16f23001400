"""One thing that is wrong with what was handed in; an error may carry several."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with an input: where, what (a stable code), and a sentence."""

    code: str
    field: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        return (
            f"{where}{self.field}: {self.message} [{self.code}]"
            if self.field
            else f"{where}{self.message} [{self.code}]"
        )
