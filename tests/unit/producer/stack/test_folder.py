"""The data folder keeps secrets to its owner and serves one stack at a time."""

from __future__ import annotations

import stat

import pytest
from processes import start_script

from producer.contract.errors import StackError
from producer.stack.folder import DataFolder

LOCK_AND_WAIT = """
import sys
from pathlib import Path
from producer.stack.folder import DataFolder
DataFolder(Path(sys.argv[1])).lock()
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path):
    folder = DataFolder(tmp_path / "deep" / "data")
    folder.lock()
    yield folder
    folder.unlock()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_and_its_secrets_are_for_the_owner_only(folder):
    state = folder.load_state()
    folder.save_state(state)
    folder.save_environment({"AWS_SECRET_ACCESS_KEY": state.s3_secret_access_key})

    assert mode(folder.path) == 0o700
    assert mode(folder.path / "state.json") == 0o600
    assert mode(folder.environment_path) == 0o600
    assert mode(folder.log_path("s3")) == 0o600


def test_credentials_stay_the_same_when_a_stack_starts_again(folder):
    first = folder.load_state()
    folder.save_state(first)

    assert folder.load_state() == first


def test_two_folders_have_different_credentials(tmp_path):
    one, other = DataFolder(tmp_path / "1").load_state(), DataFolder(tmp_path / "2").load_state()

    assert one.redis_password != other.redis_password
    assert one.s3_secret_access_key != other.s3_secret_access_key
    assert min(len(one.redis_password), len(one.s3_secret_access_key)) >= 32


def test_a_second_stack_is_told_where_the_first_one_runs(tmp_path):
    with start_script(LOCK_AND_WAIT, tmp_path) as owner:
        try:
            assert owner.stdout.readline() == "locked\n"
            with pytest.raises(StackError) as refused:
                DataFolder(tmp_path).lock()
        finally:
            owner.kill()

    assert f"in use by process {owner.pid}" in str(refused.value)
    assert f". {tmp_path / 'environment'}" in str(refused.value)


def test_the_folder_is_free_again_when_its_owner_is_killed(tmp_path):
    with start_script(LOCK_AND_WAIT, tmp_path) as owner:
        assert owner.stdout.readline() == "locked\n"
        owner.kill()

    folder = DataFolder(tmp_path)
    folder.lock()
    folder.unlock()


def test_a_folder_that_cannot_be_made_is_a_named_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StackError, match="data folder"):
        DataFolder(tmp_path / "file" / "data").lock()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"unknown": 1}', "null"])
def test_a_state_that_cannot_be_read_is_a_named_error(folder, text):
    (folder.path / "state.json").write_text(text)

    with pytest.raises(StackError, match=r"state\.json cannot be read"):
        folder.load_state()


def test_the_log_of_the_start_before_is_kept(folder):
    folder.log_path("s3").write_text("first")
    path = folder.log_path("s3")

    assert path.read_text() == ""
    assert path.with_name("s3.log.1").read_text() == "first"
