"""The short part of `make chaos`: one book under a kill, a freeze, a restart of Redis, lost replies and S3 refusals."""

from __future__ import annotations

import os

import pytest

from bench.chaos.matrix import chosen
from bench.chaos.play import play
from bench.chaos.scene import Scale

pytestmark = [pytest.mark.integration, pytest.mark.slow]

#: Any other would do; `make chaos SEED=n ROWS=35` plays the long form.
SEED = "7"


@pytest.fixture(autouse=True)
def _environment_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the environment back: a scene points this process at its servers."""
    with monkeypatch.context():
        before = dict(os.environ)
        yield
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


def test_a_book_is_whole_and_nothing_counts_twice_when_everything_breaks_that_can():
    (outcome,) = play(chosen("35"), SEED, Scale(is_full=False))

    assert outcome.violations == []
    assert (outcome.acknowledged, outcome.terminal, outcome.lost, outcome.doubled_effects) == (1, 1, 0, 0)
    assert outcome.figures["lost_replies"] > 0
    assert outcome.figures["s3_refusals"] > 0
    assert outcome.figures["direct"] == 3
