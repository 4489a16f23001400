"""What is a mark, what only looks like one, and what is text."""

# Other alphabets and wide brackets are what this is about.
# ruff: noqa: RUF001

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from producer.contract import markup
from producer.contract.markup import MAX_MARKUP_CHARS, MAX_PAUSE_S, find_markup, voices_named, without_markup
from producer.contract.narration import VOICE_NAME, Narration

WELL_FORMED = {
    "[pause:1.5s]": (1.5, None),
    "[pause:300ms]": (0.3, None),
    "[pause:30s]": (30.0, None),
    "[pause:0.25s]": (0.25, None),
    "[voice:ada]": (None, "ada"),
    "[voice:the-2nd_man]": (None, "the-2nd_man"),
    "[voice:default]": (None, "default"),
}
MALFORMED = [
    "[pause:]", "[pause:abc]", "[ pause : 2 ]", "[pause:2]", "[pause]", "[Pause:1s]", "[PAUSE:1S]", "[pause:1,5s]",
    "[pause:0s]", "[pause:0ms]", "[pause:30.1s]", "[pause:99999s]", "[pause:-1s]", "[pause:1e5s]", "[pause:nan]",
    "[pause=1s]", "[pause 2 seconds]", "[/pause]", "[pause/]", "[pause:1s[voice:ada]]", "[pause:[voice:ada]]",
    "[voice:]", "[voice:../x]", "[voice:Ada]", "[voice: ada]", "[voice:a b]", "[voice]", "[/voice]", "[voice:-x]",
    "［pause:1s］", "[pause:1s］", "【pause：1s】", "﹇voice:ada﹈", "[ｐａｕｓｅ：１ｓ]", "[pause:١s]",
    "[voice:" + "a" * 65 + "]",
]  # fmt: skip
UNCLOSED = ["[pause:1.5s", "[pause:", "[pause: 2 s", "[pause 300 ms", "[voice:ada", "[voice: ada", "[pause:abc"]
TEXT = ["[voice over]", "[pause here]", "[pauses: two]", "[STOP]", "[fr]", "(pause: 1s)", "a pause: 3 s", "[a]", "]["]


def readings(text: str) -> list[tuple[float | None, str | None]]:
    return [(found.pause_s, found.voice) for found in find_markup(text)]


@pytest.mark.parametrize("mark", WELL_FORMED)
def test_a_mark_is_read(mark: str):
    text = f"One {mark} two."
    (found,) = find_markup(text)
    assert (found.pause_s, found.voice) == WELL_FORMED[mark]
    assert not found.is_malformed
    assert text[found.start : found.end] == mark


@pytest.mark.parametrize("mark", MALFORMED)
def test_what_begins_like_a_mark_is_taken_out_as_a_whole_and_asks_for_nothing(mark: str):
    assert readings(f"One {mark} two.") == [(None, None)]
    assert without_markup(f"One {mark} two.").split() == ["One", "two."]


@pytest.mark.parametrize("mark", UNCLOSED)
def test_of_a_mark_that_is_not_closed_the_beginning_goes_and_the_text_stays(mark: str):
    assert readings(f"One {mark} two three.") == [(None, None)]
    assert without_markup(f"One {mark} two three.").split() == ["One", "two", "three."]
    assert without_markup(f"One {mark}\ntwo] three.").split() == ["One", "two]", "three."]


def test_a_mark_that_lost_its_opening_bracket_is_not_spoken():
    assert without_markup("One pause:1.5s] two voice:ada] three.").split() == ["One", "two", "three."]


def test_a_bracket_that_is_closed_far_behind_does_not_swallow_the_text():
    text = "[pause: " + "word " * 30 + "]"
    assert without_markup(text).split() == [*["word"] * 30, "]"]


@pytest.mark.parametrize("text", TEXT)
def test_other_brackets_are_text(text: str):
    assert readings(text) == []
    assert without_markup(text) == text


def test_a_well_formed_mark_within_one_that_is_not_closed_counts():
    assert readings("[pause:1 [voice:ada] hi") == [(None, None), (None, "ada")]


def test_voices_are_found_where_a_zero_width_character_hides_the_mark():
    text = "[voice:ada] a [vo\u200bice:bob] b [voice:ada] c [voice:../eve] d"
    assert voices_named(text) == {"ada", "bob"}


def test_the_names_of_voices_are_those_of_the_contract():
    assert VOICE_NAME.pattern in markup._MARKUP.pattern


@pytest.mark.parametrize("text", ["[pause:2s]", "[voice:ada] … [pause:x]", "[pause:1.5s", "[pau\u200bse:1s]"])
def test_a_text_of_marks_alone_is_refused(text: str):
    with pytest.raises(ValidationError) as caught:
        Narration(text=text)
    assert caught.value.errors()[0]["type"] == "text_unspeakable"


pieces = st.lists(
    st.one_of(
        st.sampled_from([*WELL_FORMED, *MALFORMED, *UNCLOSED]),
        st.sampled_from(["[", "]", " ", "\n", "pause", "voice", ":", "1s", "xyz ", "［", "】", "/", "\u200b"]),
        st.text(max_size=3),
    )
).map("".join)


@settings(max_examples=200, deadline=None)
@given(pieces)
def test_spans_ascend_and_hold_what_they_say(text: str):
    position = 0
    for found in find_markup(text):
        assert position <= found.start < found.end <= len(text)
        position = found.end
        if found.voice is not None:
            assert VOICE_NAME.fullmatch(found.voice)
            assert text[found.start : found.end] == f"[voice:{found.voice}]"
        if found.pause_s is not None:
            assert 0 < found.pause_s <= MAX_PAUSE_S


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*WELL_FORMED, *MALFORMED]), max_size=8), st.sampled_from([" ", "\n", "x", " x "]))
def test_no_keyword_and_no_half_of_a_mark_is_left(marks: list[str], between: str):
    left = without_markup(between.join(marks))
    assert re.sub(r"[x\s]", "", left) == ""


HOSTILE = {
    "[" * 300_000: 0,
    "[ " * 150_000: 0,
    "[pause:" * 20_000: 20_000,
    "[pause:[" * 20_000: 20_000,
    "[pause:1s]" * 10_000: 10_000,
    "pause:" + "x" * 300_000: 0,
    "[voice:" + " " * 300_000: 1,
    "[pause" + "/" * 300_000: 1,
}


@pytest.mark.parametrize("text", HOSTILE, ids=[str(number) for number in range(len(HOSTILE))])
def test_a_hostile_text_is_read_without_looking_far_ahead(text: str):
    """Were the rest of the text looked at for each bracket, this would take hours and end by the test's time limit."""
    spans = [found.end - found.start for found in find_markup(text)]
    assert len(spans) == HOSTILE[text]
    assert max(spans, default=0) <= 2 * MAX_MARKUP_CHARS
