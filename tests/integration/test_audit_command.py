"""The command `audit` on a real Valkey and S3: its exit codes, what it prints, what it refuses."""

from __future__ import annotations

import json

import pytest
from handwork import HandFarm

from producer.cli import main
from producer.contract.exitcode import ExitCode
from producer.contract.keys import manifest_key

pytestmark = pytest.mark.integration


def test_it_ends_with_a_code_of_its_own_when_a_promise_is_broken(settings, tmp_path, capsys):
    farm = HandFarm(settings, tmp_path)
    narration_id = farm.finish()
    (tmp_path / "ids.txt").write_text(f"{narration_id}\n")
    assert main(["audit", "--at-rest", "--acknowledged", str(tmp_path / "ids.txt"), "--decode"]) == ExitCode.OK
    assert capsys.readouterr().out.startswith("whole: 1 acknowledged")
    farm.store.delete(manifest_key(narration_id))
    assert main(["audit", narration_id]) == ExitCode.VIOLATED == 10
    assert f"I4 {narration_id} manifest.json: its manifest is gone" in capsys.readouterr().out
    assert main(["audit", "--json"]) == ExitCode.VIOLATED
    document = json.loads(capsys.readouterr().out)
    assert (document["is_whole"], document["violations"][0]["invariant"]) == (False, "I4")


def test_it_refuses_a_file_that_holds_no_ids(tmp_path, settings, capsys):
    (tmp_path / "ids.txt").write_text("not an id")
    assert main(["audit", "--acknowledged", str(tmp_path / "ids.txt")]) == ExitCode.INVALID_INPUT
    assert "narration_id" in capsys.readouterr().err
