"""Positions before and after a rewriting lead to one another."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.text.offsets import Edit, rewritten


@st.composite
def edited(draw: st.DrawFn, text: str | None = None) -> tuple[str, list[Edit]]:
    """Return a text and edits of it that ascend and do not overlap."""
    text = draw(st.text("abcdef ", max_size=30)) if text is None else text
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    spans = [*zip(cuts[::2], cuts[1::2], strict=False)]
    return text, [Edit(start, end, draw(st.text("XYZ", max_size=7))) for start, end in spans]


def reference(text: str, edits: list[Edit]) -> list[int]:
    """Return for each character of the new text, and for its end, where it was: the slow and plain way."""
    places: list[int] = []
    done = 0
    for edit in edits:
        places += range(done, edit.start)
        old, new = edit.end - edit.start, len(edit.text)
        places += [edit.start + (n * old // new if new > old else n) for n in range(new)]
        done = edit.end
    return [*places, *range(done, len(text) + 1)]


@settings(deadline=None)
@given(edited())
def test_every_character_comes_from_where_it_was(case: tuple[str, list[Edit]]):
    text, edits = case
    new, offset_map = rewritten(text, edits)
    places = [offset_map.before(position) for position in range(len(new) + 1)]
    assert places == reference(text, edits)
    assert all(first <= second for first, second in pairwise(places))
    kept = [(n, place) for n, place in enumerate(places[:-1]) if new[n] not in "XYZ"]
    assert all(new[n] == text[place] for n, place in kept)


@settings(deadline=None)
@given(edited())
def test_what_was_kept_is_found_again(case: tuple[str, list[Edit]]):
    text, edits = case
    new, offset_map = rewritten(text, edits)
    inside = {place for edit in edits for place in range(edit.start + 1, edit.end)}
    places = [place for place in range(len(text) + 1) if place not in inside]
    moved = offset_map.after(places)
    assert all(first <= second for first, second in pairwise(moved))
    assert all(0 <= position <= len(new) for position in moved)
    for place, position in zip(places, moved, strict=True):
        if place < len(text) and not any(edit.start <= place < edit.end for edit in edits):
            assert new[position:].lstrip("XYZ").startswith(text[place])


@settings(deadline=None)
@given(st.data())
def test_two_maps_together_are_one_after_the_other(data: st.DataObject):
    text, first = data.draw(edited())
    middle, earlier = rewritten(text, first)
    _, second = data.draw(edited(middle))
    new, later = rewritten(middle, second)
    together = earlier.then(later)
    for position in range(len(new) + 1):
        assert together.before(position) == earlier.before(later.before(position))
