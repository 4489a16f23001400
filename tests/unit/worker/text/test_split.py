"""A text becomes segments: nothing lost, nothing doubled, nothing too long."""

# Other alphabets are what this is about.
# ruff: noqa: RUF001

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from producer.contract.languages import LANGUAGES
from producer.contract.narration import is_speakable
from producer.contract.plan import Boundary, Plan
from worker.text import MAX_SEGMENT_UNITS, split
from worker.text.measure import units
from worker.text.sentences import sentence_ends

LONG_SENTENCE = "the river " * 40
TRICKY = (
    "\n\t\f\r\x0b\x85\u2028\u2029\u200b\u202e\u00ad\u0301\u0958\ufb2c\U0001d160\u1112\u1161\u11ab"
    ".!?…。「」[]*_#>-—1)a字あ글ا"
)


def texts() -> st.SearchStrategy[str]:
    anything = st.text()
    tricky = st.text(alphabet=TRICKY + "abc  ")
    prose = st.lists(
        st.sampled_from(
            ["Dr. Who came. ", "“Go!” ", "\n\n", "# Title\n", "- item\n", "他说。", "[STOP]", LONG_SENTENCE, "9" * 99]
        ),
    ).map("".join)
    return st.one_of(anything, tricky, prose, st.lists(st.one_of(anything, tricky, prose)).map("".join))


def plan_of(text: str, language: str = "en") -> Plan:
    return split(text, language=language, narration_id="n")


def spoken_texts(text: str, language: str = "en") -> list[str]:
    return [segment.text for segment in plan_of(text, language).segments]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts(), st.sampled_from(sorted(LANGUAGES)))
@example("\ufb2c" * 300, "he")
@example("e\u0301" * 700, "fr")
@example("\u1112\u1161\u11ab" * 300, "ko")
@example("\U0001d160a" * 300, "en")
@example("[[ST[x]OP]]", "en")
@example("\ud800a\udfff", "en")
def test_every_letter_is_in_exactly_one_span_and_every_segment_can_be_spoken(text: str, language: str) -> None:
    plan = plan_of(text, language)
    segments = plan.segments

    assert [segment.index for segment in segments] == list(range(len(segments)))
    assert all(0 <= segment.start < segment.end <= len(text) for segment in segments)
    assert all(first.end <= second.start for first, second in pairwise(segments))
    covered = bytearray(len(text))
    for segment in segments:
        covered[segment.start : segment.end] = b"\1" * (segment.end - segment.start)
    lost = [
        c for c, is_covered in zip(text, covered, strict=True) if not is_covered and unicodedata.category(c)[0] in "LN"
    ]
    assert lost == []

    for segment in segments:
        assert is_speakable(segment.text)
        assert len(segment.text) <= units(segment.text) <= MAX_SEGMENT_UNITS
        assert segment.text == unicodedata.normalize("NFC", " ".join(segment.text.split()))
        assert not set("[]\x00\x07\u200b\u202e") & set(segment.text)
    assert [segment.boundary for segment in segments if segment.boundary is Boundary.END] == [Boundary.END] * bool(
        segments
    )
    assert not segments or segments[-1].boundary is Boundary.END
    assert bool(segments) == is_speakable(text)


@given(texts())
@settings(max_examples=50, deadline=None)
def test_letters_are_spoken_as_they_are_written_in_order(text: str) -> None:
    def letters(of: str) -> list[str]:
        return [c for c in unicodedata.normalize("NFC", of) if unicodedata.category(c)[0] in "LN"]

    visible = "".join(c for c in text if unicodedata.category(c) not in {"Cf", "Cc", "Cs"} or c.isspace())
    said = "\n".join(spoken_texts(visible))
    assert letters(said) == letters(visible)


def test_the_same_text_gives_the_same_plan() -> None:
    text = "One sentence here, of some length. Another one, no shorter. " * 50
    assert plan_of(text) == plan_of(text)


def test_paragraphs_headings_and_lists_decide_the_boundaries() -> None:
    text = (
        "Chapter 3\n\nIt rained all day in the\nvalley of the mills. Nobody had come home for the holidays.\n\n"
        "- the first thing to remember\n- the second thing to remember\n\n* * *\n\nThat was the whole of the list."
    )
    plan = plan_of(text)
    assert [(segment.text, segment.boundary) for segment in plan.segments] == [
        ("Chapter 3", Boundary.HEADING),
        ("It rained all day in the valley of the mills. Nobody had come home for the holidays.", Boundary.PARAGRAPH),
        ("the first thing to remember", Boundary.PARAGRAPH),
        ("the second thing to remember", Boundary.PARAGRAPH),
        ("That was the whole of the list.", Boundary.END),
    ]


def test_a_long_sentence_is_cut_at_its_clauses_into_parts_of_similar_length() -> None:
    clause = "and then the wind turned to the north with a great noise"
    segments = plan_of(", ".join([clause] * 8) + ".").segments
    assert [segment.boundary for segment in segments] == [Boundary.CLAUSE] * (len(segments) - 1) + [Boundary.END]
    assert all(segment.text.startswith("and then") for segment in segments)
    lengths = [len(segment.text) for segment in segments]
    assert min(lengths) > 0.5 * max(lengths)


def test_a_speech_is_spoken_in_one_breath_until_it_is_too_long() -> None:
    said = [f"I went there in the year of the great storm number {n}." for n in range(9)]
    short = f'"{" ".join(said[:4])}"'
    before = "It rained, as it always does in those hills when the year is no longer young."
    after = "It went on raining until the end of May, and nobody spoke of the storm again."
    assert spoken_texts(f"{before} {short} {after}") == [before, short, after]
    long = plan_of(f'"{" ".join(said)}"').segments
    assert len(long) > 1
    assert all(segment.text.endswith((".", '."')) for segment in long)
    assert {segment.boundary for segment in long[:-1]} == {Boundary.SENTENCE}


def test_sentences_of_a_paragraph_are_joined_while_they_fit() -> None:
    text = " ".join(f"The boat number {number} came back to the harbour at dusk." for number in range(100))
    segments = plan_of(text).segments
    assert " ".join(segment.text for segment in segments) == text
    assert all(segment.text.startswith("The boat") and segment.text.endswith("dusk.") for segment in segments)
    assert all(units(f"{one.text} {two.text}") > MAX_SEGMENT_UNITS for one, two in pairwise(segments))
    assert sum(units(segment.text) for segment in segments) / len(segments) > 0.6 * MAX_SEGMENT_UNITS


def test_short_sentences_are_joined_within_their_paragraph_only() -> None:
    assert spoken_texts("Yes. No. I will not go there again, said the old man.\n\nWhy?\n\nBecause.") == [
        "Yes. No. I will not go there again, said the old man.",
        "Why?",
        "Because.",
    ]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("[fr] bonjour [STOP] [cj_a] end", "fr bonjour STOP cj_a end"),
        ("[[STOP]] now", "STOP now"),
        ("[ST[x]OP] now", "ST x OP now"),
        ("\uff3bfr\uff3d now", "fr now"),
        ("[\u200bfr\u200b] now", "fr now"),
        ("a note[1] here", "a note 1 here"),
        ("a \x00bell\x07 and\x1b a\u202e turn", "a bell and a turn"),
        ("soft\u00adhyphen and zero\u200bwidth", "softhyphen and zerowidth"),
        ("It was _very_ **late**, snake_case 3*4", "It was very late, snake_case 3*4"),
        ("twenty-\none ships\u00a0and  a\tboat", "twenty-one ships and a boat"),
        ("cafe\u0301", "caf\u00e9"),
    ],
)
def test_what_a_tokenizer_could_take_for_a_command_and_what_nobody_hears_is_gone(typed: str, said: str) -> None:
    assert spoken_texts(typed) == [said]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\u2028", "\x85"])
def test_every_kind_of_line_break_gives_the_same_segments(newline: str) -> None:
    lines = ["The first paragraph goes on over", "two lines of text.", "", "The second paragraph is here."]
    assert spoken_texts(newline.join(lines)) == [
        "The first paragraph goes on over two lines of text.",
        "The second paragraph is here.",
    ]


@pytest.mark.parametrize("separator", ["\f", "\u2029", "\n\f\n"])
def test_page_and_paragraph_separators_end_a_paragraph(separator: str) -> None:
    segments = plan_of(f"This is the end of a page.{separator}This is a new page.").segments
    assert [segment.boundary for segment in segments] == [Boundary.PARAGRAPH, Boundary.END]


#: Two sentences in each language.
SENTENCES = {
    "ar": ("كان الرجل العجوز يجلس كل يوم أمام البحر.", "هل كان ينتظر أحدا من أهل القرية؟"),
    "da": ("Den gamle mand sad hver dag ved havet.", "Han ventede på et skib fra nord."),
    "de": ("Der alte Mann saß z. B. am 3. Mai am Meer.", "Er wartete auf ein Schiff aus dem Norden."),
    "el": ("Ο γέρος καθόταν κάθε μέρα στη θάλασσα.", "Περίμενε άραγε κάποιο καράβι από μακριά;"),
    "en": ("Dr. Hale sat by the sea at 3.30 p.m. every day.", "He waited for a ship from the north."),
    "es": ("El Sr. García se sentaba cada día junto al mar.", "¿Esperaba acaso un barco del norte?"),
    "fi": ("Vanha mies istui joka päivä meren rannalla.", "Hän odotti laivaa pohjoisesta päin."),
    "fr": ("M. Durand s'asseyait chaque jour près de la mer.", "Attendait-il donc un bateau du nord ?"),
    "he": ("האיש הזקן ישב כל יום מול הים הגדול.", "האם הוא חיכה לספינה מן הצפון?"),
    "hi": ("बूढ़ा आदमी हर दिन समुद्र के किनारे बैठता था।", "वह उत्तर से आने वाले जहाज़ की राह देखता था।"),
    "it": ("Il sig. Rossi sedeva ogni giorno vicino al mare.", "Aspettava forse una nave dal nord?"),
    "ja": ("年老いた男は毎日海のそばに座っていた。", "彼は北から来る船を待っていたのだろうか？"),
    "ko": ("노인은 날마다 바닷가에 앉아 있었습니다.", "그는 북쪽에서 오는 배를 기다렸을까요?"),
    "ms": ("Orang tua itu duduk di tepi laut setiap hari.", "Dia menunggu sebuah kapal dari utara."),
    "nl": ("De oude man zat elke dag bij de zee, bijv. in mei.", "Wachtte hij op een schip uit het noorden?"),
    "no": ("Den gamle mannen satt ved havet hver dag.", "Han ventet på et skip fra nord."),
    "pl": ("Stary człowiek siedział codziennie nad morzem.", "Czy czekał na statek z dalekiej północy?"),
    "pt": ("O Sr. Silva sentava-se todos os dias junto ao mar.", "Esperava talvez um navio do norte?"),
    "ru": ("Старик каждый день сидел на берегу моря.", "Ждал ли он корабль с далёкого севера?"),
    "sv": ("Den gamle mannen satt vid havet varje dag.", "Han väntade på ett skepp från norr."),
    "sw": ("Mzee yule alikaa kando ya bahari kila siku.", "Alikuwa akisubiri meli kutoka kaskazini."),
    "tr": ("Yaşlı adam her gün denizin kıyısında otururdu.", "Kuzeyden gelecek bir gemiyi mi bekliyordu?"),
    "zh": ("那位老人每天都静静地坐在大海的旁边。", "他是不是在等一艘从北方来的船？"),
}


def test_the_examples_cover_every_language() -> None:
    assert SENTENCES.keys() == LANGUAGES.keys()


@pytest.mark.parametrize("language", sorted(SENTENCES))
def test_sentences_are_found_in_every_language(language: str) -> None:
    joint = "" if language in {"ja", "zh"} else " "
    text = joint.join(SENTENCES[language])
    assert sentence_ends(text, language)[:-1] == [len(SENTENCES[language][0])]
    assert spoken_texts(text, language) == [text]


@pytest.mark.parametrize("language", ["ja", "zh", "ko", "hi", "ar"])
def test_a_long_text_without_spaces_or_marks_is_cut_all_the_same(language: str) -> None:
    word = "".join(SENTENCES[language]).replace(" ", "")
    letters = "".join(c for c in word if unicodedata.category(c)[0] in "LM") * 60
    assert "".join(spoken_texts(letters, language)) == letters


@pytest.mark.parametrize(
    "text",
    [
        "... " * 50_000,
        "(a " * 60_000,
        "a" * 1_000_000,
        "「あ" * 50_000,
        "[" * 200_000 + "x",
        "\n" * 500_000 + "x",
        "- x\n" * 50_000,
    ],
    ids=["dots", "parentheses", "one word", "open quotes", "brackets", "line breaks", "items"],
)
@pytest.mark.timeout(60)  # these took minutes where something was quadratic; now less than 2 s each
def test_hostile_text_is_split_in_linear_time(text: str) -> None:
    plan_of(text)
