from __future__ import annotations

import inspect
import pickle

import pytest
from servedengine import error_of

from producer.contract.errors import ChatterqueueError
from worker import errors
from worker.engine.remote import portable
from worker.errors import EngineFaultError, SynthesisError

CLASSES = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, ChatterqueueError)]


@pytest.mark.parametrize("error_class", CLASSES, ids=lambda each: each.__name__)
def test_every_error_of_ours_travels_as_it_is(error_class: type[ChatterqueueError]) -> None:
    error = error_of(error_class.__name__)
    for carry in (portable.of_segment, portable.of_start):
        arrived = pickle.loads(pickle.dumps(carry(error)))
        assert type(arrived) is error_class
        assert arrived.args == error.args
        assert str(arrived) == str(error)
        assert (arrived.code, arrived.is_retryable, arrived.exit_code) == (
            error.code,
            error.is_retryable,
            error.exit_code,
        )


def test_who_was_begun_is_not_forgotten_on_the_way() -> None:
    for was_begun in (True, False):
        arrived = pickle.loads(pickle.dumps(portable.of_segment(EngineFaultError("the GPU failed", was_begun))))
        assert arrived.was_begun is was_begun


class LocalError(SynthesisError):
    """One that forgets its arguments, against the rules."""

    def __init__(self, reason: str, more: str) -> None:
        super().__init__(reason)


@pytest.mark.parametrize("raised", [ValueError("secret"), LocalError("secret", "more"), SystemExit("secret")])
def test_any_other_error_of_a_segment_is_its_place_and_not_its_words(raised: BaseException) -> None:
    try:
        raise raised
    except BaseException as error:  # noqa: BLE001 - SystemExit is among them
        carried = portable.of_segment(error)
    assert type(carried) is SynthesisError
    assert "test_portable.py" in str(carried)
    assert "secret" not in str(carried)


def test_any_other_error_of_a_start_keeps_its_words_and_its_traceback() -> None:
    try:
        raise ImportError("libcudart is not there")
    except ImportError as error:
        arrived = pickle.loads(pickle.dumps(portable.of_start(error)))
    assert type(arrived) is RuntimeError
    assert str(arrived) == "ImportError: libcudart is not there"
    (note,) = arrived.__notes__
    assert "test_portable.py" in note
