"""No slot sees what is in another one, what was there before it, or what nobody has written."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch  # noqa: TID253 - the tests compare tensors
from t3decoding import GREEDY, MAX_TOKENS, expected, make_decoder, make_prompt, run, speak
from tiny_t3 import text_ids, tiny_t3

from worker.engine.t3 import decoder as decoder_module
from worker.engine.t3 import voicecache
from worker.engine.t3.lanes import shapes
from worker.engine.transfer import HostCopy
from worker.errors import SegmentUnspeakableError

#: torch and transformers warn of calls in the package.
pytestmark = pytest.mark.filterwarnings("default")

#: A text token that only one prompt uses, whose embedding a test makes NaN.
POISONED_WORD = 600


@cache
def tokens_alone(number: int) -> tuple[list[int], bool]:
    return expected(tiny_t3(), make_prompt(number))


@pytest.mark.parametrize("sentinel", [3e4, float("nan")])
def test_positions_that_nobody_wrote_are_not_read(sentinel: float) -> None:
    decoder = make_decoder()
    with torch.inference_mode():
        decoder._cache.values.fill_(sentinel)
    assert speak(decoder, [make_prompt(0), make_prompt(3), make_prompt(1)]) == [
        tokens_alone(0),
        tokens_alone(3),
        tokens_alone(1),
    ]


def test_logits_that_are_not_finite_end_their_slot_and_no_other() -> None:
    t3 = tiny_t3()
    with torch.no_grad():
        t3.text_emb.weight[POISONED_WORD] = float("nan")
    decoder = make_decoder(t3, num_slots=2)
    poisoned = make_prompt(1, text_tokens=text_ids(30).index_fill(0, torch.tensor([4]), POISONED_WORD))
    slots = decoder.admit([poisoned, make_prompt(0)])
    found = run(decoder)
    assert not found[slots[0]].is_finite
    assert not found[slots[0]].has_ended
    assert found[slots[0]].tokens.tolist() == []
    assert (found[slots[1]].tokens.tolist(), found[slots[1]].is_finite) == (tokens_alone(0)[0], True)
    # Both rows of the broken slot are taken again, by shorter texts.
    assert speak(decoder, [make_prompt(3), make_prompt(5), make_prompt(0)]) == [
        tokens_alone(3),
        tokens_alone(5),
        tokens_alone(0),
    ]


def test_logits_that_break_in_the_middle_of_a_speech_keep_what_came_before() -> None:
    t3 = tiny_t3()
    whole, _ = expected(t3, make_prompt(0, GREEDY))
    with torch.no_grad():
        t3.speech_emb.weight[whole[4]] = float("inf")
    decoder = make_decoder(t3)
    (slot,) = decoder.admit([make_prompt(0, GREEDY)])
    spoken = run(decoder)[slot]
    assert (spoken.tokens.tolist(), spoken.is_finite, spoken.has_ended) == (whole[:5], False, False)


def test_a_slot_that_is_done_stands_still_while_others_go_on() -> None:
    decoder = make_decoder()
    short, long = decoder.admit([make_prompt(0, max_tokens=2), make_prompt(1)])
    decoder.step(2)
    before = (decoder._state.output.clone(), decoder._state.seen.clone(), decoder._state.watched.clone())
    decoder.step(5)
    after = (decoder._state.output, decoder._state.seen, decoder._state.watched)
    assert torch.equal(before[0][short], after[0][short])
    assert torch.equal(before[1][short], after[1][short])
    assert torch.equal(before[2][:, short], after[2][:, short])
    assert not torch.equal(before[0][long], after[0][long])
    assert [spoken.slot for spoken in decoder.poll()] == [short]


def test_a_released_slot_is_free_and_leaves_nothing_to_its_next_prompt() -> None:
    decoder = make_decoder(num_slots=2)
    first, second = decoder.admit([make_prompt(1), make_prompt(0)])
    decoder.step(4)
    decoder.release([first])
    assert (decoder.num_live, decoder.num_free_rows) == (1, 2)
    assert decoder.admit([make_prompt(4)]) == [first]
    found = run(decoder)
    assert found[first].tokens.tolist() == tokens_alone(4)[0]
    assert found[second].tokens.tolist() == tokens_alone(0)[0]


def test_a_late_report_about_a_released_prompt_does_not_end_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU a report arrives some steps later; meanwhile the slot may have been given to another prompt."""
    decoder = make_decoder(num_slots=1)
    with monkeypatch.context() as patch:
        patch.setattr(HostCopy, "has_arrived", False)
        (slot,) = decoder.admit([make_prompt(0, max_tokens=2)])
        decoder.step(3)
        assert decoder.poll() == []
        decoder.release([slot])
        assert decoder.admit([make_prompt(1)]) == [slot]
        decoder.step()
        assert decoder.poll() == []
    assert decoder.poll(is_blocking=True) == []
    assert run(decoder)[slot].tokens.tolist() == tokens_alone(1)[0]


def test_polling_waits_only_when_it_is_two_reports_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = make_decoder()
    monkeypatch.setattr(HostCopy, "has_arrived", False)
    decoder.admit([make_prompt(0, max_tokens=1)])
    decoder.step()
    assert decoder.poll() == []
    assert decoder.poll() == []
    assert [len(spoken.tokens) for spoken in decoder.poll()] == [1]


def test_steps_and_polls_of_nothing_do_nothing() -> None:
    decoder = make_decoder()
    decoder.warm_up()
    decoder.step(3)
    assert decoder.poll(is_blocking=True) == []
    assert decoder.admit([]) == []


def test_a_step_of_idle_lanes_alone_changes_nothing() -> None:
    """Before a graph is captured its step is run; idle lanes once had a partner past the last lane."""
    decoder = make_decoder(num_slots=3)
    state = decoder._state
    before = [value.clone() for value in (state.watched, state.length, state.last_token, state.seen, state.output)]
    with torch.inference_mode():
        for shape in shapes(decoder.num_rows):
            decoder._graphs.run(shape)
    after = (state.watched, state.length, state.last_token, state.seen, state.output)
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert not decoder._cache.values[:, :, :-1].any()
    assert speak(decoder, [make_prompt(0)]) == [tokens_alone(0)]


def test_rows_are_counted_by_guidance() -> None:
    decoder = make_decoder(num_slots=2)
    guided, unguided = make_prompt(0), make_prompt(3)
    assert (guided.num_rows, unguided.num_rows, decoder.num_rows) == (2, 1, 4)
    assert decoder.can_admit([guided, unguided, unguided])
    assert not decoder.can_admit([guided, guided, unguided])
    decoder.admit([guided, unguided])
    assert (decoder.num_free_rows, decoder.num_live) == (1, 2)
    assert not decoder.can_admit([guided])
    assert decoder.can_admit([unguided])


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"text_tokens": torch.zeros(2051, dtype=torch.long)}, "2049 tokens long, and the model reads 2048"),
        ({"text_tokens": torch.tensor([255, 704, 0])}, "outside of the model's 704"),
        ({"text_tokens": torch.tensor([255, -1, 0])}, "outside"),
        ({"text_tokens": torch.tensor([], dtype=torch.long)}, "not a row of int64 tokens"),
        ({"text_tokens": torch.tensor([255.0, 0.0])}, "not a row of int64 tokens"),
        ({"max_tokens": 0}, "speaks 1 to 4099 tokens, not 0"),
        ({"max_tokens": 4100}, "speaks 1 to 4099 tokens, not 4100"),
        ({"max_tokens": 900}, "positions"),
        ({"num_forced_tokens": MAX_TOKENS}, "forced after 0 to 9"),
        ({"seed": 2**32}, "seed"),
        ({"seed": -1}, "seed"),
        ({"exaggeration": float("nan")}, "exaggeration"),
    ],
)
def test_a_prompt_that_would_end_the_process_is_refused(changes: dict[str, object], fault: str) -> None:
    decoder = make_decoder()
    assert decoder.fits(make_prompt(0)) is None
    assert fault in str(decoder.fits(make_prompt(0, **changes)))
    with pytest.raises(SegmentUnspeakableError, match=fault):
        decoder.admit([make_prompt(1), make_prompt(0, **changes)])
    assert decoder.num_free_rows == decoder.num_rows


def test_the_longest_prompt_that_fits_is_spoken_to_its_end() -> None:
    text = text_ids(20)
    decoder = make_decoder(max_positions=34 + 22 + 2 + MAX_TOKENS, num_slots=1)
    prompt = make_prompt(0, text_tokens=text)
    assert decoder.fits(make_prompt(0, text_tokens=text, max_tokens=MAX_TOKENS + 1)) is not None
    assert speak(decoder, [prompt]) == [expected(tiny_t3(), prompt)]


def test_a_prefill_that_fails_gives_its_rows_back(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = make_decoder()
    with monkeypatch.context() as patch:

        def run_out_of_memory(*_arguments: object) -> None:
            raise torch.OutOfMemoryError("no memory")

        patch.setattr(decoder._prefill, "read", run_out_of_memory)
        with pytest.raises(torch.OutOfMemoryError):
            decoder.admit([make_prompt(0), make_prompt(1)])
    assert (decoder.num_free_rows, decoder.num_live) == (decoder.num_rows, 0)
    assert speak(decoder, [make_prompt(0)]) == [tokens_alone(0)]


def test_a_burst_is_read_in_parts_that_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.engine.t3.prefill.SIZES", (64,))
    decoder = make_decoder()
    heights: list[int] = []
    fill = decoder._transformer.fill

    def count(hidden: torch.Tensor, *arguments: torch.Tensor) -> None:
        heights.append(hidden.shape[0])
        fill(hidden, *arguments)

    monkeypatch.setattr(decoder._transformer, "fill", count)
    assert speak(decoder, [make_prompt(0), make_prompt(1), make_prompt(3)]) == [
        tokens_alone(0),
        tokens_alone(1),
        tokens_alone(3),
    ]
    assert max(heights) <= 64


def count_calls(function: Callable[..., object]) -> tuple[list[int], Callable[..., object]]:
    calls: list[int] = []

    def counted(*arguments: object) -> object:
        calls.append(1)
        return function(*arguments)

    return calls, counted


def test_a_voice_is_computed_once_and_forgotten_when_others_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = make_decoder(num_slots=8)
    voices = decoder._prefill._voices
    monkeypatch.setattr(voices, "_max_voices", 2)
    calls, counted = count_calls(voices._compute)
    monkeypatch.setattr(voices, "_compute", counted)
    texts = [make_prompt(number, voice=make_prompt(0).voice, exaggeration=0.5) for number in (0, 1, 2)]
    speak(decoder, texts)
    speak(decoder, texts[:1])
    assert len(calls) == 1
    speak(decoder, [make_prompt(0, exaggeration=0.75), make_prompt(0, exaggeration=1.0)])
    assert len(calls) == 3
    speak(decoder, texts[:1])
    assert len(calls) == 4
    assert voicecache.MAX_VOICES > 2
    assert decoder_module._MAX_PENDING == 2


def test_the_voice_is_not_written_to() -> None:
    prompt = make_prompt(0)
    before = {name: value for name, value in vars(prompt.voice).items() if value is not None}
    speak(make_decoder(), [prompt])
    after = {name: value for name, value in vars(prompt.voice).items() if value is not None}
    assert before.keys() == after.keys()
    assert all(before[name] is after[name] for name in before)
