"""Figures are said as a reader would say them, or they stay."""

# Other alphabets are what this is about.
# ruff: noqa: RUF001

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.contract.languages import LANGUAGES
from worker.text.clean import clean
from worker.text.markup import Mark
from worker.text.normalize import normalize
from worker.text.numerals import cardinal, decimal, year
from worker.text.roman import roman_value


def said(text: str, language: str = "en") -> str:
    return normalize(clean(text), language).text


#: Written -> readings that a listener accepts.
ENGLISH: dict[str, tuple[str, ...]] = {
    "It cost $12.50.": ("It cost twelve dollars fifty cents.", "It cost twelve dollars and fifty cents."),
    "It cost $1.": ("It cost one dollar.",),
    "£1,200,000 and €3bn": ("One million two hundred thousand pounds and three billion euros",),
    "$1.5 million": ("One point five million dollars",),
    "born in 1984": ("born in nineteen eighty-four",),
    "in 1066 and 2005": ("in ten sixty-six and two thousand five",),
    "the 1990s": ("the nineteen nineties",),
    "About 50% of 1,234 people.": (
        "About fifty percent of one thousand two hundred thirty-four people.",
        "About fifty percent of one thousand two hundred and thirty-four people.",
    ),
    "on March 4, 2024": (
        "on March fourth, twenty twenty four",
        "on March fourth, twenty twenty-four",
        "on March the fourth, twenty twenty-four",
    ),
    "the 4th of July": ("the fourth of July",),
    "at 5:30 pm": ("at five thirty PM", "at five thirty p.m."),
    "It was 10 a.m. She left.": ("It was ten AM. She left.",),
    "at 10 a.m. sharp": ("at ten AM sharp",),
    "The 21st century": ("The twenty-first century",),
    "a 21st-century man": ("a twenty-first-century man",),
    "10 km, 60 mph and 1 lb": ("Ten kilometers, sixty miles per hour and one pound",),
    "it was -5°C": ("it was minus five degrees Celsius",),
    "a 10-year-old": ("a ten-year-old",),
    "3.14 and 0.50": ("Three point one four and zero point five zero",),
    "1/2 cup": ("One half cup", "Half cup"),
    "2/3 of it": ("Two thirds of it",),
    "20-30 people": ("Twenty to thirty people",),
    "1914–1918": ("Nineteen fourteen to nineteen eighteen",),
    "Chapter IV": ("Chapter Four",),
    "Chapter 21": ("Chapter Twenty-One",),
    "World War II": ("World War Two",),
    "Henry VIII said": ("Henry the Eighth said",),
    "No. 5, pp. 10-15": ("Number five, pages ten to fifteen",),
    "call 555-1234": ("call five five five, one two three four",),
    "Version 2.0.1": ("Version two point zero point one",),
    "salt & pepper": ("salt and pepper",),
    "He left. 12 men came.": ("He left. Twelve men came.",),
    "see https://example.org/a": ("see example dot org slash a",),
    "1,000,000 things": ("One million things",),
    "During World War I": ("During World War One",),
    "500-1000 people": ("Five hundred to one thousand people",),
    "Part I": ("Part One",),
    "Louis XIV, Henry V": ("Louis the Fourteenth, Henry the Fifth",),
    "agent 007": ("agent oh oh seven", "agent zero zero seven"),
    "12\nmen": ("Twelve\nmen",),
}
#: What stays as it is written, because there is no one way to say it, or because it is a code.
STAYS = [
    "MP3 and 4x4 and A4", "2+2=4", "B-52", "x^2", "C#5", "12345678901234567890", "5' 10 high", "1914–18", "1. First",
    "R&D", "Charles I saw", "Dr. Smith of Elm St.", "no figures at all", "1.2.", "I may go", "3:2:1:0", "MIX and DIM",
    "the part I like", "In this Book I say", "Appendix C", "Section D", "Type X", "Malcolm X", "John V. Smith",
    "Chapter1Chapter1", "pp. 1914-18",
]  # fmt: skip


@pytest.mark.parametrize("text", ENGLISH)
def test_english_is_said_as_it_is_read(text: str):
    assert said(text) in ENGLISH[text]


@pytest.mark.parametrize("text", STAYS)
def test_english_that_cannot_be_read_for_sure_stays(text: str):
    expected = {"1.2.": "One point two."}.get(text, text)
    assert said(text) == expected


OTHERS: dict[str, dict[str, str]] = {
    "ar": {"في عام 1984 قرأت 45 كتابا": "في عام 1984 قرأت 45 كتابا"},
    "da": {"I 1984 kom 45": "I nittenhundrede og fireogfirs kom femogfyrre", "den 3. maj": "den 3. maj"},
    "de": {
        "Im Jahr 1984 kamen 1.234 Leute": "Im Jahr neunzehnhundertvierundachtzig kamen "
        "eintausendzweihundertvierunddreißig Leute",
        "am 3. April um 17:30 für 12,50 €": "am 3. April um 17:30 für 12,50 €",
        "1 Mann, 50 %, 3,14": "1 Mann, fünfzig Prozent, drei Komma eins vier",
    },
    "el": {"45 άτομα, 50 %": "Σαράντα πέντε άτομα, πενήντα τοις εκατό", "21 άτομα": "21 άτομα"},
    "es": {"45 personas y 21 casas": "Cuarenta y cinco personas y 21 casas", "3,14": "Tres coma uno cuatro"},
    "fi": {"vuonna 1984": "vuonna tuhatyhdeksänsataakahdeksankymmentäneljä", "45 miehellä": "45 miehellä"},
    "fr": {"En 1984, 1 234 gens": "En mille neuf cent quatre-vingt-quatre, mille deux cent trente-quatre gens",
           "le 1er mai à 17h30": "le 1er mai à 17h30"},
    "he": {"45 ספרים": "45 ספרים"},
    "hi": {"1984 में 50%": "उन्नीस सौ चौरासी में पचास प्रतिशत", "1,23,456": "एक लाख तेईस हज़ार चार सौ छप्पन"},
    "it": {"45 persone, 50 %": "Quarantacinque persone, cinquanta per cento", "21 case": "21 case"},
    "ja": {"1984年に1,234人": "千九百八十四年に千二百三十四人", "50%": "五十パーセント"},
    "ko": {"1984년 1,234명": "천구백팔십사년 천이백삼십사명", "사과 3개": "사과 3개"},
    "ms": {"1,234 orang, 50%": "Seribu dua ratus tiga puluh empat orang, lima puluh peratus"},
    "nl": {"45 mensen, 50 %": "Vijfenveertig mensen, vijftig procent"},
    "no": {"45 menn i 1984": "Førtifem menn i nittenhundre og åttifire", "i 2024": "i to tusen og tjuefire"},
    "pl": {"45 osób w 1984 roku": "45 osób w 1984 roku"},
    "pt": {"em 1984, 45 pessoas, 2 casas": "em mil novecentos e oitenta e quatro, quarenta e cinco pessoas, 2 casas"},
    "ru": {"2 книги в 1984 году": "2 книги в 1984 году"},
    "sv": {"År 1984 kom 1 234": "År nittonhundraåttiofyra kom ettusen tvåhundratrettiofyra"},
    "sw": {"watu 40 na vitabu 3": "watu arobaini na vitabu 3"},
    "tr": {"45 kişi, 1984'te %50": "Kırk beş kişi, 1984'te %50"},
    "zh": {"1984年有45人": "一九八四年有四十五人", "2024年，50%，2个": "二〇二四年，百分之五十，2个"},
}  # fmt: skip


@pytest.mark.parametrize("language", OTHERS)
def test_other_languages_say_what_has_one_form_and_keep_the_rest(language: str):
    for written, reading in OTHERS[language].items():
        assert said(written, language) == reading


def test_every_language_is_decided_on():
    assert {*OTHERS, "en"} == set(LANGUAGES)


def test_numbers_have_words_only_where_no_noun_decides_their_form():
    assert [cardinal(2, language) for language in ("pt", "ru", "zh", "sw", "ko")] == [None] * 5
    assert [cardinal(1, language) for language in ("de", "fr", "es", "sv")] == [None] * 4
    assert cardinal(10**15, "en") is None
    assert cardinal(10**6, "fr") is None
    assert decimal("2.50", "en") == "two point five zero"
    assert decimal("2.5", "fr") is None
    assert year(2024, "no") is None
    assert year(2024, "zh") == "二〇二四"


@pytest.mark.parametrize(
    ("numeral", "value"),
    [("IV", 4), ("VIII", 8), ("XIX", 19), ("XLII", 42), ("MCMXCIX", 1999), ("IIII", None), ("IC", None), ("", None)],
)
def test_roman_numerals_have_a_value(numeral: str, value: int | None):
    assert roman_value(numeral) == value


def test_spans_are_those_of_what_was_written_and_marks_stay():
    text = "He paid [x] $12.50 [pause:1s]in 1984. On March [voice:ada]4 he left."
    cleaned = normalize(clean(text), "en")
    assert cleaned.text == "He paid x twelve dollars fifty cents in nineteen eighty-four. On March 4 he left."
    for words, written in [
        ("twelve dollars fifty cents", "$12.50"),
        ("nineteen eighty-four", "1984"),
        ("left", "left"),
    ]:
        start = cleaned.text.index(words)
        assert text[slice(*cleaned.span(start, start + len(words)))] == written
    assert cleaned.marks == (
        Mark(cleaned.text.index("in nineteen"), pause_s=1.0), Mark(cleaned.text.index("4 he"), voice="ada"),
    )  # fmt: skip


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    *"0123456789",
                    "1,2",
                    "19",
                    "-",
                    "–",
                    ".",
                    ",",
                    " ",
                    "\n",
                    "%",
                    ":",
                    "/",
                    "km",
                    "st",
                    "May ",
                    "$",
                    "th ",
                    "pp. ",
                    "Part ",
                    "IV",
                    "@a.b",
                    "www.",
                    " pm",
                    "s ",
                    "٣",
                    "°",
                ]
            ),
            st.text(max_size=2),
        ),
        max_size=20,
    ).map("".join),
    st.one_of(st.just("en"), st.sampled_from(sorted(LANGUAGES))),
)
def test_whatever_is_written_the_way_back_is_right(text: str, language: str):
    cleaned = clean(text)
    result = normalize(cleaned, language)
    spans = [result.span(position, position + 1) for position in range(len(result.text))]
    assert spans == sorted(spans)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert [c for c in result.text if c.isdigit()] == [] or set(result.text) & set(text)


HOSTILE = ["1 ", "1", "1-", "1,", "1.1.", "$ ", "a@", "www.", "Chapter ", "1/", "a.", "[pause:1s]1", "'9"]


@pytest.mark.parametrize("part", HOSTILE)
@pytest.mark.parametrize("language", ["en", "fr"])
def test_hostile_texts_end(part: str, language: str):
    """Were the work more than linear, the test's time limit would end it."""
    text = said(part * 5_000 + "@", language)
    assert text
