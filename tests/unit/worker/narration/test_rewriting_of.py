"""A narration's text is rewritten as its request was pinned."""

from __future__ import annotations

import hashlib
import logging

import pytest
from workerfakes import FakeStore

from producer.contract.dictionary import Rule, Rules
from producer.contract.errors import MalformedMessageError
from producer.contract.keys import dictionary_rules_key
from producer.contract.narration import DictionaryReference, Narration, NarrationRequest
from producer.storage import ObjectNotFoundError
from worker.errors import NothingToSayError
from worker.narration.rewriting import rewriting_of
from worker.text.clean import clean

RULES = Rules(rules=(Rule(pattern="Nguyen", replacement="Win"),))
REFERENCE = DictionaryReference(name="names", version=2, sha256=hashlib.sha256(RULES.encode()).hexdigest())


def request(text: str, *, normalize: bool = False, dictionary: DictionaryReference | None = None) -> NarrationRequest:
    made = NarrationRequest.new(Narration(text=text, normalize=normalize), narration_id="n" * 26)
    return made.model_copy(update={"dictionary": dictionary})


def test_the_pinned_rules_and_the_switch_decide():
    store = FakeStore()
    store.objects[dictionary_rules_key(REFERENCE.sha256)] = RULES.encode()
    text = "Nguyen in 1984"
    said = [
        rewriting_of(store, request(text, normalize=normalize, dictionary=dictionary))(clean(text)).text
        for normalize, dictionary in [(False, None), (True, None), (False, REFERENCE)]
    ]
    assert said == ["Nguyen in 1984", "Nguyen in nineteen eighty-four", "Win in 1984"]


def test_rules_that_are_gone_or_changed_stop_the_narration():
    store = FakeStore()
    with pytest.raises(ObjectNotFoundError):
        rewriting_of(store, request("x", dictionary=REFERENCE))
    store.objects[dictionary_rules_key(REFERENCE.sha256)] = b"{}"
    with pytest.raises(MalformedMessageError, match="names"):
        rewriting_of(store, request("x", dictionary=REFERENCE))


def test_malformed_marks_are_counted_in_the_log_and_not_quoted(caplog: pytest.LogCaptureFixture):
    text = "One [pause:secret] two [voice:../x]"
    with caplog.at_level(logging.WARNING):
        rewriting_of(FakeStore(), request(text))(clean(text))
    (record,) = caplog.records
    assert (record.getMessage(), vars(record)["num_marks"]) == ("marks_malformed", 2)
    assert "secret" not in str(vars(record))


def test_a_text_that_cannot_be_said_is_refused_by_name():
    with pytest.raises(NothingToSayError):
        rewriting_of(FakeStore(), request("x"))(clean("[pause:1s]"))
