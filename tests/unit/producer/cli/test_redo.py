"""The list of segments that `redo` takes."""

from __future__ import annotations

import pytest
import typer

from producer.cli.redo import parse_segments


def test_a_list_of_segments_and_ranges_is_read_in_ascending_order() -> None:
    assert parse_segments("12,40-44") == [12, 40, 41, 42, 43, 44]
    assert parse_segments("7, 3-4 ,3") == [3, 4, 7]


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "1,,2", "4-3", "0-10000000", "1;2", "\u0661", "1-2-3"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_segments(text)
