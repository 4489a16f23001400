"""All rows together, and the choice among them."""

from __future__ import annotations

from bench.chaos.rows import ROWS, Row, crashes, disk, kills, network, poison, producers, queue, redis, soak, storage

#: Imported for the rows that they put into the matrix.
MODULES = (kills, crashes, poison, producers, queue, redis, network, storage, disk, soak)


def chosen(numbers: str) -> list[Row]:
    """Return the rows with these numbers, separated by commas; without any, all.

    Raises:
        SystemExit: no row has such a number.
    """
    if not numbers:
        return list(ROWS.values())
    unknown = [number for number in numbers.split(",") if number not in ROWS]
    if unknown:
        raise SystemExit(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return [ROWS[number] for number in numbers.split(",")]
