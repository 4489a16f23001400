"""What the lock says, and how each kind of damage is named."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from smallweights import ENGLISH_FILES, write_weights

from producer.contract.exitcode import ExitCode
from producer.contract.narration import ModelName
from worker import errors
from worker.models.store import verification
from worker.models.store.adoption import lock_as_is
from worker.models.store.command import main
from worker.models.store.lock import LOCK_NAME, FileEntry, Lock, guard, read_lock, write_lock
from worker.models.store.verification import Verification, find_problems, require

ENGLISH = (ModelName.ENGLISH,)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A locked folder with the English model, made once."""
    folder = write_weights(tmp_path_factory.mktemp("template"), ENGLISH_FILES)
    lock_as_is(folder, ENGLISH)
    return folder


@pytest.fixture
def model_dir(template: Path, tmp_path: Path) -> Path:
    """A locked folder with the English model, of the test's own."""
    return shutil.copytree(template, tmp_path / "weights")


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def swap(path: Path) -> None:
    other = path.with_name("s3gen.safetensors")
    content = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(content)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped": (flip_a_byte, "content"),
    "cut short": (lambda path: os.truncate(path, path.stat().st_size - 1), "size"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "size"),
    "gone": (Path.unlink, "missing"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "missing"),
}


def test_a_fresh_lock_finds_nothing_wrong(model_dir: Path) -> None:
    lock = read_lock(model_dir)
    assert set(lock.files) == set(ENGLISH_FILES)
    assert set(lock.converted) == {"conds.pt.safetensors"}
    assert lock.complete_models() == ENGLISH
    assert find_problems(model_dir, lock) == []


@pytest.mark.parametrize("name", [*ENGLISH_FILES, "conds.pt.safetensors"])
def test_one_flipped_byte_names_the_file(model_dir: Path, name: str) -> None:
    flip_a_byte(model_dir / name)
    (problem,) = find_problems(model_dir, read_lock(model_dir))
    assert (problem.file, problem.code) == (name, "content")


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_each_damage_is_named(model_dir: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    work, code = DAMAGE[damage]
    work(model_dir / "ve.safetensors")
    (problem,) = find_problems(model_dir, read_lock(model_dir))
    assert (problem.file, problem.code) == ("ve.safetensors", code)
    assert main(["verify", "--dir", str(model_dir), "--json"], default_dir=model_dir) == ExitCode.CONFIGURATION
    printed = capsys.readouterr()
    assert json.loads(printed.err)["error"]["problems"][0]["file"] == "ve.safetensors"
    assert printed.out == ""


def test_swapped_files_are_told_apart(model_dir: Path) -> None:
    swap(model_dir / "ve.safetensors")
    problems = {problem.file: problem for problem in find_problems(model_dir, read_lock(model_dir))}
    assert problems.keys() == {"ve.safetensors", "s3gen.safetensors"}
    assert problems["ve.safetensors"].message == "holds the content of s3gen.safetensors"


def test_a_conversion_of_another_source_is_stale(model_dir: Path) -> None:
    lock = read_lock(model_dir)
    entry = lock.converted["conds.pt.safetensors"].model_copy(update={"source_sha256": "0" * 64})
    lock = lock.model_copy(update={"converted": {"conds.pt.safetensors": entry}})
    (problem,) = find_problems(model_dir, lock)
    assert (problem.file, problem.code) == ("conds.pt.safetensors", "stale")
    assert lock.missing_of(ModelName.ENGLISH) == ("conds.pt.safetensors",)


def test_stamps_save_the_hashing_until_something_changes(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    real = verification.sha256_of_all

    def counted(paths: object) -> dict[Path, str]:
        listed = list(paths)  # type: ignore[call-overload]
        hashed.extend(path.name for path in listed)
        return real(listed)

    monkeypatch.setattr(verification, "sha256_of_all", counted)
    lock = read_lock(model_dir)
    require(model_dir, lock, lock.files, verification=Verification.STAMP)
    assert sorted(hashed) == sorted(ENGLISH_FILES)
    hashed.clear()
    require(model_dir, lock, lock.files, verification=Verification.STAMP)
    assert hashed == []
    # The time of the last change set back to what it was: the change of the inode still shows.
    path = model_dir / "ve.safetensors"
    before = path.stat()
    flip_a_byte(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(errors.WeightsDamagedError, match=r"ve\.safetensors"):
        require(model_dir, lock, lock.files, verification=Verification.STAMP)
    assert hashed == ["ve.safetensors"]


def test_verify_hashes_whatever_the_stamps_say(model_dir: Path) -> None:
    lock = read_lock(model_dir)
    require(model_dir, lock, lock.files, verification=Verification.STAMP)
    path = model_dir / "ve.safetensors"
    flip_a_byte(path)
    # As if the disk had rotted: the stamp is that of the damaged file.
    entry = lock.files["ve.safetensors"]
    stamps = verification._read_stamps(model_dir) | {"ve.safetensors": verification._stamp(path, entry)}
    verification._write_stamps(model_dir, stamps)
    require(model_dir, lock, lock.files, verification=Verification.STAMP)
    assert main(["verify", "--dir", str(model_dir)], default_dir=model_dir) == ExitCode.CONFIGURATION


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there is no models.lock.json"),
        ("{", "cannot be used"),
        ('{"schema_version": 2, "locked_at": "2026-01-01T00:00:00Z"}', "schema_version"),
        ('{"locked_at": "2026-01-01T00:00:00Z", "files": {"../../x": {"size_bytes": 1, "sha256": "%s"}}}', "inside"),
        ('{"locked_at": "2026-01-01T00:00:00Z", "files": {"/etc/x": {"size_bytes": 1, "sha256": "%s"}}}', "inside"),
        ('{"locked_at": "2026-01-01T00:00:00Z", "commit": "main"}', "commit"),
    ],
)
def test_a_lock_that_cannot_be_used_is_refused(tmp_path: Path, content: str | None, reason: str) -> None:
    if content is not None:
        (tmp_path / LOCK_NAME).write_text(content.replace("%s", "0" * 64))
    with pytest.raises(errors.WeightsLockError, match=reason):
        read_lock(tmp_path)
    assert main(["verify", "--dir", str(tmp_path)], default_dir=tmp_path) == ExitCode.CONFIGURATION


def test_a_lock_with_fields_of_a_later_version_is_read(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_text('{"schema_version": 1, "locked_at": "2026-01-01T00:00:00Z", "signature": "x"}')
    assert read_lock(tmp_path).files == {}


def test_a_crash_while_writing_leaves_the_old_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Lock(locked_at=datetime.now(UTC), files={"a": FileEntry(size_bytes=1, sha256="0" * 64)})
    write_lock(tmp_path, first)

    def crash(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="Input/output"):
        write_lock(tmp_path, Lock(locked_at=datetime.now(UTC)))
    assert read_lock(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == [LOCK_NAME]


def test_locking_over_a_lock_is_refused(model_dir: Path) -> None:
    flip_a_byte(model_dir / "ve.safetensors")
    with pytest.raises(errors.WeightsLockError, match="already"):
        lock_as_is(model_dir, ENGLISH)


def test_locking_an_incomplete_model_names_what_is_missing(tmp_path: Path) -> None:
    write_weights(tmp_path, ("t3_cfg.safetensors", "tokenizer.json"))
    with pytest.raises(errors.WeightsMissingError, match=r"s3gen\.safetensors, ve\.safetensors"):
        lock_as_is(tmp_path, ENGLISH)


def test_two_processes_cannot_change_a_folder_at_once(tmp_path: Path) -> None:
    with guard(tmp_path), pytest.raises(errors.FetchBusyError, match="another process"), guard(tmp_path):
        pass


def test_list_tells_what_is_there_without_hashing(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verification, "sha256_of_all", lambda paths: pytest.fail("hashed"))
    (model_dir / "ve.safetensors").unlink()
    write_weights(model_dir, ("s3gen.pt",))
    assert main(["list", "--json", "--dir", str(model_dir)], default_dir=model_dir) == 0
    result = json.loads(capsys.readouterr().out)
    states = {file["file"]: file["state"] for file in result["files"]}
    assert (states["ve.safetensors"], states["s3gen.pt"]) == ("missing", "not locked")
    assert states["conds.pt.safetensors"] == "present"
    assert result["models"] == {"english": False, "multilingual": False}
    assert main(["list", "--dir", str(model_dir)], default_dir=model_dir) == 0
    assert "english: incomplete" in capsys.readouterr().out


@pytest.mark.parametrize(
    "error",
    [
        errors.WeightsDamagedError("dir", [{"file": "ve.pt", "code": "content", "message": "was changed"}]),
        errors.UnsafeCheckpointError("ve.pt", "it asks for 'os'.'system'"),
        errors.HubUnavailableError("gone"),
        errors.DiskSpaceError("full"),
    ],
)
def test_errors_survive_pickle(error: errors.ModelLoadError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.args) == (type(error), str(error), error.args)
    assert copy.args == tuple(json.loads(json.dumps(error.args)))
