"""Texts cut into what a screen shows: nothing lost, nothing too wide, cut where a reader would."""

from __future__ import annotations

import random

import pytest

from worker.audio.cues import MAX_COLUMNS, columns, cut

ENGLISH = (
    "Mr. Hale had kept the light for thirty-one years, and he had never once let it go out; the sea was three and a "
    "half miles off, and the wind had turned to the north with a great noise. Nobody remembered who had built it."
)
JAPANESE = (
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"
    "「ニャーニャー」と泣いていた事だけは記憶している。"
)
ARABIC = "كان الليل هادئًا والبحر بعيدًا، وقد تحولت الرياح إلى الشمال بضجيج عظيم، ولم يتذكر أحد من بنى البرج."
TEXTS = {
    "english": ENGLISH,
    "japanese": JAPANESE,
    "chinese and latin": "我们用 Python 3.11 写程序\uff0c然后在 GPU 上运行它\uff1b结果很好。" * 3,
    "korean": "오늘은 날씨가 아주 좋아서 우리는 모두 함께 바다로 갔습니다. 물이 차가웠지만 즐거웠습니다.",
    "arabic": ARABIC,
    "hindi": "रात शांत थी और समुद्र दूर था। हवा उत्तर की ओर मुड़ गई थी। किसी को याद नहीं था कि मीनार किसने बनाई थी।",
    "one endless word": "x" * 1_000,
    "web address": "See https://example.org/" + "a-very-long-path/" * 9 + " for more.",
    "white space": "  One\n two\t\tthree \u2028 four  ",
    "one character": "!",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_all_of_a_text_is_shown_and_fits(text: str) -> None:
    cues = cut(text)
    assert "".join("".join(cue.lines) for cue in cues).replace(" ", "") == "".join(text.split())
    for cue in cues:
        assert 1 <= len(cue.lines) <= 2
        for line in cue.lines:
            assert 0 < columns(line) <= MAX_COLUMNS
            assert line == line.strip()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_cues_follow_each_other_over_all_characters(text: str) -> None:
    cues = cut(text)
    assert cues[0].start == 0
    assert [cue.end for cue in cues[:-1]] == [cue.start for cue in cues[1:]]
    assert cues[-1].end == len("".join(text.split()))


def test_random_texts_are_whole_too() -> None:
    draw = random.Random(6)
    letters = 'ab, .!-\n"「」。、あァーッ漢字한글אב؟،\u0301\u200d🙂<>&'
    for _ in range(200):
        text = "".join(draw.choice(letters) for _ in range(draw.randrange(400)))
        cues = cut(text)
        assert "".join("".join(cue.lines) for cue in cues).replace(" ", "") == "".join(text.split())
        assert all(columns(line) <= MAX_COLUMNS for cue in cues for line in cue.lines)


def test_nothing_to_show_gives_no_cue() -> None:
    assert cut("") == cut(" \n ") == []


def test_cuts_fall_where_sentences_and_clauses_end() -> None:
    ends = [cue.lines[-1][-1] for cue in cut(ENGLISH)]
    assert set(ends) <= set(",;.")
    assert [cue.lines[-1][-1] for cue in cut(ARABIC)] == ["،", "."]


def test_a_tiny_sentence_at_the_edge_does_not_get_a_screen_of_its_own() -> None:
    first, *_ = cut("Oh. " + "the wind had turned to the north and " * 4 + "it blew.")
    assert len("".join(first.lines)) > 20


def test_no_line_of_wide_characters_begins_with_what_belongs_to_the_one_before() -> None:
    for repeat in range(1, 6):
        for cue in cut(JAPANESE * repeat):
            for line in cue.lines:
                assert line[0] not in "。、」ーャ"
                assert line[-1] != "「"


def test_wide_characters_take_two_columns_and_marks_none() -> None:
    assert columns("漢字") == 4
    assert columns("e\u0301a\u200d") == 2
