from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from producer.contract.narration import ModelName
from worker.errors import ModelLoadError
from worker.models.checkpoint import check_folder, find_models, revision
from worker.models.header import count_layers, read_header
from worker.models.store.catalog import PARTS, required_files_of
from worker.models.store.lock import LOCK_NAME, FileEntry, Lock, write_lock

LAYERS = {ModelName.ENGLISH: 2, ModelName.MULTILINGUAL: 14}
T3_FILE = {model: parts.t3 for model, parts in PARTS.items()}
FILES = {model: (*required_files_of(model), parts.conditionals) for model, parts in PARTS.items()}
ROWS = {ModelName.ENGLISH: 704, ModelName.MULTILINGUAL: 2454}


def write_t3(path: Path, *, rows: int, layers: int) -> None:
    tensors = {"text_emb.weight": np.zeros((rows, 4), np.float16)}
    tensors |= {f"tfmr.layers.{layer}.mlp.up_proj.weight": np.zeros((2, 2), np.float16) for layer in range(layers)}
    save_file(tensors, path)


def write_files(directory: Path, *models: ModelName) -> Path:
    """Write files of the right kinds; only their headers are looked at."""
    for model in models:
        for name in FILES[model]:
            path = directory / name
            if name == T3_FILE[model]:
                write_t3(path, rows=ROWS[model], layers=LAYERS[model])
            elif path.suffix == ".safetensors":
                save_file({"weight": np.arange(100, dtype=np.float32)}, path)
            elif path.suffix == ".pt":
                with zipfile.ZipFile(path, "w") as archive:
                    archive.writestr("data.pkl", b"x" * 500)
            else:
                path.write_text(json.dumps({"model": {"type": "BPE"}}))
    return directory


BOTH = (ModelName.ENGLISH, ModelName.MULTILINGUAL)
ALL_FILES = [(model, name) for model in BOTH for name in FILES[model]]


@pytest.mark.parametrize("models", [(ModelName.ENGLISH,), (ModelName.MULTILINGUAL,), BOTH])
def test_a_whole_folder_serves_what_is_in_it(tmp_path: Path, models: tuple[ModelName, ...]) -> None:
    assert check_folder(write_files(tmp_path, *models)) == models


@pytest.mark.parametrize(("model", "name"), ALL_FILES)
def test_a_missing_file_is_named(tmp_path: Path, model: ModelName, name: str) -> None:
    write_files(tmp_path, *BOTH)
    (tmp_path / name).unlink()
    if name == T3_FILE[model]:
        assert model not in check_folder(tmp_path)  # without its own weights a model is simply not there
        return
    with pytest.raises(ModelLoadError, match="is missing") as caught:
        check_folder(tmp_path)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize(("model", "name"), ALL_FILES)
def test_a_truncated_file_is_named(tmp_path: Path, model: ModelName, name: str, keep: float) -> None:
    path = write_files(tmp_path, model) / name
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(ModelLoadError, match="cut short") as caught:
        check_folder(tmp_path)
    assert str(path) in str(caught.value)
    assert "fetch the file again" in str(caught.value)


@pytest.mark.parametrize("name", ["ve.safetensors", "tokenizer.json", "conds.pt"])
def test_a_git_lfs_pointer_is_named_as_one(tmp_path: Path, name: str) -> None:
    write_files(tmp_path, ModelName.ENGLISH)
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    with pytest.raises(ModelLoadError, match="git lfs pull"):
        check_folder(tmp_path)


def test_the_weights_of_the_other_model_are_refused(tmp_path: Path) -> None:
    write_files(tmp_path, ModelName.ENGLISH)
    write_t3(tmp_path / "t3_cfg.safetensors", rows=2454, layers=30)
    with pytest.raises(ModelLoadError, match="not the T3 of the english model"):
        check_folder(tmp_path)


def test_a_multilingual_t3_that_is_too_shallow_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path, ModelName.MULTILINGUAL)
    write_t3(tmp_path / "t3_mtl23ls_v2.safetensors", rows=2454, layers=13)
    with pytest.raises(ModelLoadError, match="13 layers"):
        check_folder(tmp_path)


def test_every_faulty_file_is_named_at_once(tmp_path: Path) -> None:
    write_files(tmp_path, ModelName.ENGLISH)
    (tmp_path / "ve.safetensors").write_bytes(b"")
    (tmp_path / "conds.pt").write_bytes(b"")
    with pytest.raises(ModelLoadError) as caught:
        check_folder(tmp_path)
    assert "ve.safetensors" in str(caught.value)
    assert "conds.pt" in str(caught.value)


def test_an_empty_folder_says_what_belongs_into_it(tmp_path: Path) -> None:
    assert find_models(tmp_path) == ()
    with pytest.raises(ModelLoadError, match=r"t3_cfg\.safetensors"):
        check_folder(tmp_path)


def test_a_folder_that_is_none_says_which_variable_to_set(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="CHATTERQUEUE_MODEL_DIR"):
        check_folder(tmp_path / "missing")


def test_the_depth_of_t3_is_read_from_its_file(tmp_path: Path) -> None:
    write_t3(tmp_path / "t3.safetensors", rows=704, layers=11)
    tensors, _ = read_header(tmp_path / "t3.safetensors")
    assert count_layers(tensors) == 11


def test_the_revision_follows_the_content_of_each_file(tmp_path: Path) -> None:
    write_files(tmp_path, *BOTH)
    before = {model: revision(tmp_path, model) for model in BOTH}
    assert revision(tmp_path, ModelName.ENGLISH) == before[ModelName.ENGLISH]
    save_file({"weight": np.full(100, 7, np.float32)}, tmp_path / "s3gen.safetensors")
    assert revision(tmp_path, ModelName.ENGLISH) != before[ModelName.ENGLISH]
    assert revision(tmp_path, ModelName.MULTILINGUAL) == before[ModelName.MULTILINGUAL]


def locked(directory: Path, *models: ModelName) -> Path:
    """Write files of the right kinds and a lock that names them; nothing is converted."""
    write_files(directory, *models)
    files = {path.name: FileEntry.of(path) for path in directory.iterdir()}
    write_lock(directory, Lock(locked_at=datetime.now(UTC), files=files))
    return directory


def test_locking_a_folder_does_not_change_its_revision(tmp_path: Path) -> None:
    locked(tmp_path, *BOTH)
    found = {model: revision(tmp_path, model) for model in BOTH}
    (tmp_path / LOCK_NAME).unlink()
    assert {model: revision(tmp_path, model) for model in BOTH} == found


def test_the_revision_of_a_locked_folder_is_not_read_from_its_files(tmp_path: Path) -> None:
    found = revision(locked(tmp_path, ModelName.ENGLISH), ModelName.ENGLISH)
    for name in FILES[ModelName.ENGLISH]:
        (tmp_path / name).unlink()
    assert revision(tmp_path, ModelName.ENGLISH) == found


def test_a_locked_file_that_is_gone_is_left_to_the_check_of_the_lock(tmp_path: Path) -> None:
    """A T3 that was quantized before may be gone; only the check of the lock knows."""
    locked(tmp_path, ModelName.ENGLISH)
    # As a lock has it whose `.pt` files were converted.
    (tmp_path / "conds.pt").rename(tmp_path / "conds.pt.safetensors")
    save_file({"weight": np.zeros(4, np.float32)}, tmp_path / "conds.pt.safetensors")
    (tmp_path / "s3gen.safetensors").unlink()
    assert check_folder(tmp_path) == (ModelName.ENGLISH,)
    (tmp_path / LOCK_NAME).unlink()
    with pytest.raises(ModelLoadError, match=r"s3gen\.safetensors is missing"):
        check_folder(tmp_path)
