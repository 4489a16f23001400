"""From a request to what T3 and S3Gen are given, with a small stand-in for the model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch  # noqa: TID253
from engine_conformance import segment

from producer.contract.narration import Parameters
from worker.engine.request import SegmentRequest
from worker.errors import NoSpeechError, SegmentUnspeakableError
from worker.models.sampling import Sampling

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]  # the packages warn while they import


class FakeModel:
    """Its tokens are the letters' codes."""

    conds = SimpleNamespace(t3="how it sounds to T3", gen={"embedding": "how it sounds to S3Gen"})
    default_sampling = Sampling(repetition_penalty=2.0)
    max_speech_tokens = 1_000
    tokenizer = SimpleNamespace(
        tokenizer=SimpleNamespace(id_to_token=lambda token: "[START]" if token < 0 else chr(token).lower())
    )

    def tokens_of(self, text: str, language: str | None) -> torch.Tensor:
        return torch.tensor([ord(letter) for letter in text])

    def framed(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(tokens, (1, 1), value=-1)


def script(request: SegmentRequest, room: int = 5_000) -> Any:
    from worker.engine.preparation import ChatterboxPreparation

    return ChatterboxPreparation(FakeModel(), most_tokens=lambda num: room - num, max_cached_voices=2).prepare(request)


def test_a_prompt_holds_tokens_voice_and_parameters() -> None:
    parameters = Parameters(temperature=0.7, cfg_weight=0.0, top_p=0.9, min_p=0.1, exaggeration=1.5)
    prompt = script(segment("ab", parameters=parameters)).prompt(9)
    assert prompt.text_tokens.tolist() == [-1, 97, 98, -1]
    assert (prompt.voice, prompt.exaggeration, prompt.seed) == ("how it sounds to T3", 1.5, 9)
    assert prompt.sampling == Sampling(0.7, 0.0, repetition_penalty=2.0, min_p=0.1, top_p=0.9)
    assert prompt.max_tokens == 1_000


def test_a_penalty_of_the_request_replaces_that_of_the_model() -> None:
    prompt = script(segment(parameters=Parameters(repetition_penalty=1.3))).prompt(9)
    assert prompt.sampling.repetition_penalty == 1.3


@pytest.mark.parametrize(("room", "max_tokens"), [(500, 496), (4, 1)])
def test_the_ceiling_is_what_the_text_leaves_room_for(room: int, max_tokens: int) -> None:
    assert script(segment("ab"), room).prompt(9).max_tokens == max_tokens


def test_all_prompts_of_a_voice_name_the_same_object() -> None:
    written = script(segment())
    assert written.prompt(1).voice is written.prompt(2).voice


def test_a_speech_holds_the_tokens_that_have_a_sound() -> None:
    speech = script(segment()).speech(torch.tensor([1, 6_560, 6_561, 8_000, 2]), 9)
    assert speech.tokens.tolist() == [1, 6_560, 2]
    assert (speech.reference, speech.seed) == (FakeModel.conds.gen, 9)


def test_places_are_those_of_the_tokens_that_have_a_sound() -> None:
    tokens, positions = torch.tensor([1, 6_560, 6_561, 8_000, 2]), torch.tensor([0, 1, 2, 2, 3], dtype=torch.int16)
    places = script(segment("Ab.")).places(tokens, positions)
    assert places.text_positions.tolist() == [0, 1, 3]
    assert places.text_spans.tolist() == [[0, 0], [0, 1], [1, 2], [2, 2], [2, 2]]


@pytest.mark.parametrize("tokens", [[], [6_561, 6_562]])
def test_tokens_without_a_sound_are_no_speech(tokens: list[int]) -> None:
    with pytest.raises(NoSpeechError):
        script(segment()).speech(torch.tensor(tokens, dtype=torch.long), 9)


def test_a_text_without_letters_is_refused() -> None:
    with pytest.raises(SegmentUnspeakableError):
        script(segment("..."))
