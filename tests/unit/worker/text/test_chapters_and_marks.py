"""Chapters and marks force a border, and say who speaks and how long a pause is."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from producer.contract.chapter import Chapter
from producer.contract.narration import is_speakable
from producer.contract.plan import Boundary, Plan
from worker.text import split
from worker.text.clean import CleanText
from worker.text.offsets import Edit

NIGHT, DAY = "It was night in the valley. Nobody slept.", "It was day by the sea. Nobody woke."


def plan_of(text: str, *chapters: Chapter) -> Plan:
    return split(text, language="en", narration_id="n", chapters=chapters)


def test_a_chapter_begins_where_it_is_said_to_even_within_a_paragraph() -> None:
    text = f"{NIGHT} {DAY}"
    start = text.index("It was day")
    plan = plan_of(text, Chapter(title="Night", start=0), Chapter(title="Day", start=start, voice="ada"))
    assert [(s.text, s.chapter, s.voice, s.boundary) for s in plan.segments] == [
        (NIGHT, 0, None, Boundary.CHAPTER),
        (DAY, 1, "ada", Boundary.END),
    ]
    assert [(c.title, c.start, c.end, c.first_segment, c.num_segments) for c in plan.chapters] == [
        ("Night", 0, start, 0, 1),
        ("Day", start, len(text), 1, 1),
    ]


def test_a_chapter_with_nothing_to_say_has_no_segment() -> None:
    text = f"{NIGHT}\n\n***\n\n{DAY}"
    starts = [0, text.index("***"), text.index("It was day")]
    plan = plan_of(text, *(Chapter(title=str(start), start=start) for start in starts))
    assert [(chapter.first_segment, chapter.num_segments) for chapter in plan.chapters] == [(0, 1), (1, 0), (1, 1)]
    assert [segment.chapter for segment in plan.segments] == [0, 2]


def test_a_plan_without_chapters_has_none() -> None:
    plan = plan_of(NIGHT)
    assert plan.chapters == ()
    assert [segment.chapter for segment in plan.segments] == [0]


def test_a_pause_ends_a_segment_and_stands_behind_it() -> None:
    plan = plan_of("It was night. [pause:1.5s] It was[pause:300ms] day.[pause:1s][pause:2s]")
    assert [(s.text, s.pause_after_s, s.boundary) for s in plan.segments] == [
        ("It was night.", 1.5, Boundary.SENTENCE),
        ("It was", 0.3, Boundary.CLAUSE),
        ("day.", 3.0, Boundary.END),
    ]


def test_a_voice_speaks_until_the_next_one_or_the_end_of_the_chapter() -> None:
    text = "One comes. [voice:ada] Two comes.\n\nThree comes. [voice:bob] Four comes.\n\nFive comes."
    plan = plan_of(text, Chapter(title="a", start=0), Chapter(title="b", start=text.index("Five"), voice="eve"))
    assert [(s.text, s.voice) for s in plan.segments] == [
        ("One comes.", None),
        ("Two comes.", "ada"),
        ("Three comes.", "ada"),
        ("Four comes.", "bob"),
        ("Five comes.", "eve"),
    ]


def test_a_text_is_rewritten_before_it_is_split_and_spans_stay_those_of_the_original() -> None:
    def rewrite(cleaned: CleanText) -> CleanText:
        place = cleaned.text.index("Dr.")
        return replace(cleaned.rewritten(iter([Edit(place, place + 3, "Doctor")])))

    text = "Dr. Hale came.\n\nNobody spoke."
    plan = split(text, language="en", narration_id="n", rewrite=rewrite)
    assert [(s.text, text[s.start : s.end]) for s in plan.segments] == [
        ("Doctor Hale came.", "Dr. Hale came."),
        ("Nobody spoke.", "Nobody spoke."),
    ]


PIECES = st.sampled_from(
    [
        "It was night. ",
        "“Go!” she said. ",
        "[pause:1s]",
        "[voice:ada]",
        "\n\n",
        "# Title\n",
        "雨が降る。",
        "e\u0301",
        "* * *",
    ]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=5)), min_size=1, max_size=12), st.data())
def test_no_segment_goes_over_the_beginning_of_a_chapter(found: list[str], data: st.DataObject) -> None:
    text = "".join(found) or "x"
    starts = sorted(data.draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=4)))
    starts = [0, *(start for start in starts if start < len(text))]
    plan = plan_of(text, *(Chapter(title="", start=start) for start in starts))
    assert sum(chapter.num_segments for chapter in plan.chapters) == len(plan.segments)
    assert all(one.chapter <= two.chapter for one, two in pairwise(plan.segments))
    assert all(is_speakable(segment.text) for segment in plan.segments)
    for one, two in pairwise(plan.segments):
        assert (one.boundary is Boundary.CHAPTER) == (one.chapter != two.chapter)
        assert one.end <= two.start
