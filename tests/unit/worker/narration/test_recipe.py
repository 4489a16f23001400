from __future__ import annotations

import pytest
from workerfakes import NARRATION_ID, plan_of, request_of, store_with

from producer.contract.errors import MalformedMessageError
from producer.contract.keys import plan_key, request_key
from producer.contract.narration import ModelName
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
