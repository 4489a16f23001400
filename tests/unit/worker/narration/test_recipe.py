from __future__ import annotations

import pytest
from workerfakes import NARRATION_ID, plan_of, request_of, store_with

from producer.contract.chapter import Chapter
from producer.contract.errors import MalformedMessageError, UnknownVoiceError
from producer.contract.keys import plan_key, request_key
from producer.contract.narration import ModelName, NarrationRequest
from producer.contract.plan import Plan, Segment
from worker.engine.request import segment_seed
from worker.narration.recipe import Recipe, RecipeShelf, model_for


@pytest.mark.parametrize(
    ("model", "language", "chosen"),
    [
        (ModelName.AUTO, "en", ModelName.ENGLISH),
        (ModelName.AUTO, "de", ModelName.MULTILINGUAL),
        (ModelName.MULTILINGUAL, "en", ModelName.MULTILINGUAL),
    ],
)
def test_the_model_follows_the_language_unless_the_user_chose(model, language, chosen):
    assert model_for(model, language) is chosen


def test_a_narration_is_read_once_when_many_of_its_segments_are_spoken():
    store = store_with(request_of(), plan_of("One.", "Two."))
    shelf = RecipeShelf(store)
    assert shelf.get(NARRATION_ID).text(1) == "Two."
    num_gets = store.num_gets
    assert shelf.get(NARRATION_ID).text(0) == "One."
    assert store.num_gets == num_gets


def test_the_recipe_that_was_not_used_for_longest_goes_when_the_shelf_is_full():
    store = store_with(request_of(), plan_of("One.", "Two."))
    ids = ["a" * 26, "b" * 26, "c" * 26]
    for narration_id in ids:
        store.objects[request_key(narration_id)] = store.objects[request_key(NARRATION_ID)]
        store.objects[plan_key(narration_id)] = store.objects[plan_key(NARRATION_ID)]
    shelf = RecipeShelf(store, max_segments=4)
    for narration_id in (ids[0], ids[1], ids[0], ids[2]):
        shelf.get(narration_id)
    num_gets = store.num_gets
    shelf.get(ids[0])
    shelf.get(ids[2])
    assert store.num_gets == num_gets
    shelf.get(ids[1])
    assert store.num_gets > num_gets


def test_a_segment_that_is_not_in_the_plan_is_refused():
    recipe = Recipe.of(request_of(), plan_of("One."))
    with pytest.raises(MalformedMessageError, match="no segment 1"):
        recipe.text(1)


def played(*segments: dict[str, object]) -> Plan:
    """Return a plan whose segments have these fields."""
    plan = plan_of(*(str(number) for number in range(len(segments))))
    pairs = zip(plan.segments, segments, strict=True)
    return plan.model_copy(update={"segments": tuple(segment.model_copy(update=fields) for segment, fields in pairs)})


def pinned(**fields: object) -> NarrationRequest:
    request = request_of("x" * 100, voice="cy", chapters=fields.pop("chapters", ()))
    return request.model_copy(update={"voice_sha256": "hash-cy", "voices_sha256": {"ada": "hash-ada"}, **fields})


def test_a_segment_is_spoken_by_the_voice_that_was_pinned_for_it():
    plan = played({}, {"voice": "ada"}, {"voice": "cy"}, {"voice": "default"})
    recipe = Recipe.of(pinned(), plan)
    assert [recipe.segment(index).voice_sha256 for index in range(4)] == ["hash-cy", "hash-ada", "hash-cy", None]


def test_a_segment_without_a_voice_of_its_own_has_its_chapters():
    chapters = (Chapter(title="I", start=0), Chapter(title="II", start=50, voice="ada"))
    recipe = Recipe.of(pinned(chapters=chapters), played({}, {"chapter": 1}, {"chapter": 1, "voice": "cy"}))
    assert [recipe.segment(index).voice_sha256 for index in range(3)] == ["hash-cy", "hash-ada", "hash-cy"]


def test_a_voice_that_was_not_pinned_is_named_and_fails_its_own_segment_only():
    recipe = Recipe.of(pinned(), played({"voice": "nobody"}, {"voice": "ada"}))
    assert recipe.segment(1).voice_sha256 == "hash-ada"
    with pytest.raises(UnknownVoiceError, match="nobody") as caught:
        recipe.segment(0)
    assert not caught.value.is_retryable


def test_each_take_has_a_seed_of_its_own_and_the_same_one_again():
    plan = played({}, {"take": 1}, {"take": 2})
    plan = plan.model_copy(
        update={"segments": tuple(each.model_copy(update={"text": "So."}) for each in plan.segments)}
    )
    recipe = Recipe.of(pinned(), plan)
    seeds = [recipe.segment(index).seed for index in range(3)]
    assert seeds[0] == segment_seed(recipe.seed, "So.")
    assert len(set(seeds)) == 3
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert [Recipe.of(pinned(), plan).segment(index).seed for index in range(3)] == seeds


def test_a_long_book_in_two_voices_takes_two_bytes_more_for_each_segment():
    ordinary = Segment(index=0, text="", start=0, end=0, boundary="end")
    segments = tuple(ordinary.model_copy(update={"voice": "ada" if index % 2 else None}) for index in range(1_000))
    recipe = Recipe.of(pinned(), plan_of().model_copy(update={"segments": segments}))
    assert recipe.speakers.itemsize * len(recipe.speakers) == 2_000
    assert recipe.takes == {}
    assert not Recipe.of(pinned(), plan_of("One.")).speakers
