"""The extras that are looked for are those of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from producer import extras
from producer.contract.errors import SettingsError
from producer.contract.exitcode import ExitCode

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


@pytest.mark.parametrize("extra", extras.PACKAGES)
def test_every_package_that_is_looked_for_is_in_its_extra(extra: str):
    declared = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["optional-dependencies"][extra]
    names = {re.split(r"[^A-Za-z0-9-]", line)[0] for line in declared}
    assert set(extras.PACKAGES[extra]) <= names


def test_an_extra_that_is_missing_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(extras.PACKAGES, "worker", ("av", "no-such-package"))
    with pytest.raises(SettingsError, match=r"no-such-package.*pip install '\.\[worker\]'") as caught:
        extras.require_extra("worker")
    assert caught.value.exit_code is ExitCode.CONFIGURATION
