"""Paths that a result can be written to, and those that are refused before any work is done."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from producer.contract.errors import OutputPathError
from producer.outputfile import check_output_folder, check_output_path


def test_a_new_file_and_an_old_one_are_accepted_and_left_alone(tmp_path: Path):
    old = tmp_path / "old.mp3"
    old.write_bytes(b"before")
    check_output_path(old)
    check_output_path(tmp_path / "new.mp3")
    assert [path.name for path in tmp_path.iterdir()] == ["old.mp3"]
    assert old.read_bytes() == b"before"


def refusal(path: Path) -> str:
    with pytest.raises(OutputPathError) as caught:
        check_output_path(path)
    return str(caught.value)


def test_a_folder_is_refused(tmp_path: Path):
    assert "it is a folder" in refusal(tmp_path)


@pytest.mark.parametrize("target", ["there.mp3", "nowhere.mp3"])
def test_a_symbolic_link_is_refused_wherever_it_points(tmp_path: Path, target: str):
    (tmp_path / "there.mp3").touch()
    (tmp_path / "link.mp3").symlink_to(tmp_path / target)
    assert "symbolic link" in refusal(tmp_path / "link.mp3")


def test_a_device_is_refused():
    assert "not a regular file" in refusal(Path("/dev/null"))


def test_a_path_in_a_missing_folder_is_refused(tmp_path: Path):
    assert "there is no folder" in refusal(tmp_path / "missing" / "out.mp3")


def test_a_path_below_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    assert "cannot write" in refusal(tmp_path / "file" / "out.mp3")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a folder that not even root can write to")
def test_a_folder_that_cannot_be_written_to_is_refused():
    assert "cannot be written to" in refusal(Path("/proc/out.mp3"))
    with pytest.raises(OutputPathError):
        check_output_folder(Path("/proc"))


@pytest.mark.parametrize("name", ["a\0b.mp3", "x" * 300 + ".mp3"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str):
    assert "cannot write" in refusal(tmp_path / name)
