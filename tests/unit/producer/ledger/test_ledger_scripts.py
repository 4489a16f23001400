"""The scripts as texts: what the server and the reader rely on."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from producer.ledger.scripting import script_source

FOLDER = resources.files("producer.ledger") / "scripts"
NAMES = sorted(file.name.removesuffix(".lua") for file in FOLDER.iterdir() if file.name != "prelude.lua")


def test_every_script_is_there() -> None:
    calls = "create read cancel claim renew planned complete fail release reopen commit reconcile delete"
    calls += " restore restore_takes restore_ready"
    assert sorted(calls.split()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_script_is_refused_before_its_first_write_when_memory_is_short(name: str) -> None:
    assert script_source(name).startswith("#!lua")
    may_write_when_full = {"cancel", "commit", "delete"}  # they free memory
    assert ("allow-oom" in script_source(name).partition("\n")[0]) == (name in may_write_when_full)


@pytest.mark.parametrize("name", NAMES)
def test_a_script_says_what_it_takes_and_returns(name: str) -> None:
    body = (FOLDER / f"{name}.lua").read_text(encoding="utf-8")
    header = re.match(r"#!lua.*\n((?:--.*\n)+)", body)
    assert header
    assert "-- KEYS " in header[1]
    assert "-- Returns " in header[1]
    assert ("ARGV[" in body or "#ARGV" in body) == ("-- ARGV " in header[1])


@pytest.mark.parametrize("name", NAMES)
def test_the_server_is_the_only_clock(name: str) -> None:
    assert "os.time" not in script_source(name)
    assert "os.clock" not in script_source(name)
