"""What a start checks, and when the quantized T3 is used instead of the full one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch  # noqa: TID253 - the test compares with torch
from smallweights import ENGLISH_FILES, MULTILINGUAL_FILES, small_voice, write_weights

from producer.contract.narration import ModelName
from worker import errors
from worker.models.store import opening
from worker.models.store.lock import LOCK_NAME, read_lock, write_lock
from worker.models.weights import (
    ModelFiles,
    PrequantizedCache,
    default_model_dir,
    load_conditionals,
    load_state,
    lock_as_is,
    open_model,
)

BOTH = (ModelName.ENGLISH, ModelName.MULTILINGUAL)
FORMAT = "int8-v1"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A locked folder with both models, made once."""
    folder = write_weights(tmp_path_factory.mktemp("template"))
    lock_as_is(folder, BOTH)
    return folder


@pytest.fixture
def model_dir(template: Path, tmp_path: Path) -> Path:
    """A locked folder with both models, of the test's own."""
    return shutil.copytree(template, tmp_path / "weights")


def opened(model_dir: Path, model: ModelName = ModelName.ENGLISH, form: str | None = FORMAT) -> ModelFiles:
    return open_model(model_dir, model, prequantized_format=form, cache_dir=model_dir.parent / "cache")


def quantize(files: ModelFiles, content: bytes = b"int8") -> Path:
    assert files.cache is not None
    return files.cache.store(lambda path: path.write_bytes(content) and None)


@pytest.mark.parametrize("model", BOTH)
def test_an_opened_model_can_be_read(model_dir: Path, model: ModelName) -> None:
    files = opened(model_dir, model)
    for path in (files.t3, files.s3gen, files.voice_encoder):
        assert path.suffix == ".safetensors"
        assert torch.is_tensor(load_state(path)["layer.weight"])
    assert files.conditionals is not None
    voice = load_conditionals(files.conditionals)
    assert torch.equal(voice["gen"]["prompt_feat"], small_voice()["gen"]["prompt_feat"])
    assert files.tokenizer.is_file()
    assert (files.cangjie is not None) == (model is ModelName.MULTILINGUAL)


def test_no_pickle_has_to_be_there_for_a_start(model_dir: Path) -> None:
    for path in model_dir.glob("*.pt"):
        path.unlink()
    files = opened(model_dir, ModelName.MULTILINGUAL)
    assert load_state(files.s3gen)


@pytest.mark.parametrize("name", ["t3_mtl23ls_v2.safetensors", "s3gen.pt.safetensors", "conds.pt.safetensors"])
def test_a_start_refuses_a_damaged_file_by_name(model_dir: Path, name: str) -> None:
    path = model_dir / name
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(errors.WeightsDamagedError) as refused:
        opened(model_dir, ModelName.MULTILINGUAL)
    assert [problem["file"] for problem in refused.value.problems] == [name]


def test_damage_of_the_other_model_does_not_stop_a_start(model_dir: Path) -> None:
    (model_dir / "s3gen.pt.safetensors").write_bytes(b"")
    assert opened(model_dir, ModelName.ENGLISH).t3.is_file()


def test_a_model_that_was_never_locked_is_named(tmp_path: Path) -> None:
    write_weights(tmp_path, ENGLISH_FILES)
    lock_as_is(tmp_path, (ModelName.ENGLISH,))
    with pytest.raises(errors.WeightsMissingError, match=r"t3_mtl23ls_v2\.safetensors.*multilingual"):
        opened(tmp_path, ModelName.MULTILINGUAL)


def test_an_unlocked_folder_loads_with_a_warning_unless_a_lock_is_required(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_weights(tmp_path / "weights", MULTILINGUAL_FILES)
    files = opened(folder, ModelName.MULTILINGUAL)
    assert [record.message for record in caplog.records] == ["weights_not_locked"]
    assert load_state(files.voice_encoder)
    with pytest.raises(errors.WeightsLockError, match="no lock"):
        open_model(folder, ModelName.MULTILINGUAL, is_lock_required=True)
    (folder / "ve.pt").unlink()
    with pytest.raises(errors.WeightsMissingError, match=r"ve\.pt"):
        opened(folder, ModelName.MULTILINGUAL)


def test_a_quantized_t3_replaces_the_full_one(model_dir: Path) -> None:
    first = opened(model_dir)
    assert first.prequantized is None
    path = quantize(first)
    assert path.parent == model_dir / "prequantized"
    # The full weights are not read any more: they may even be damaged.
    (model_dir / "t3_cfg.safetensors").write_bytes(b"")
    assert opened(model_dir).prequantized == path
    # Without int8 they are needed, and checked.
    with pytest.raises(errors.WeightsDamagedError, match=r"t3_cfg\.safetensors"):
        opened(model_dir, form=None)
    assert read_lock(model_dir).complete_models() == BOTH


def test_a_quantized_t3_of_another_format_or_model_is_not_used(model_dir: Path) -> None:
    quantize(opened(model_dir))
    assert opened(model_dir, form="int8-v2").prequantized is None
    assert opened(model_dir, ModelName.MULTILINGUAL).prequantized is None


@pytest.mark.parametrize("content", [b"", b"int9", None])
def test_a_damaged_quantized_t3_is_refused_by_name_and_made_again(
    model_dir: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = quantize(opened(model_dir))
    path.write_bytes(content) if content is not None else path.unlink()
    again = opened(model_dir)
    assert again.prequantized is None
    assert [(record.message, record.file) for record in caplog.records] == [  # type: ignore[attr-defined]
        ("prequantized_refused", again.cache.name if again.cache else "")
    ]
    quantize(again)
    assert opened(model_dir).prequantized == path


def test_other_weights_make_the_quantized_t3_useless(model_dir: Path) -> None:
    old = quantize(opened(model_dir))
    shutil.copy(model_dir / "t3_mtl23ls_v2.safetensors", model_dir / "t3_cfg.safetensors")
    (model_dir / LOCK_NAME).unlink()
    lock_as_is(model_dir, BOTH)
    files = opened(model_dir)
    assert files.prequantized is None
    assert quantize(files) != old


def test_a_folder_without_a_lock_has_its_cache_in_a_private_place(tmp_path: Path) -> None:
    folder = write_weights(tmp_path / "weights", ENGLISH_FILES)
    path = quantize(opened(folder))
    assert path.is_relative_to(tmp_path / "cache")
    assert not (folder / LOCK_NAME).exists()
    assert opened(folder).prequantized == path
    shutil.copy(folder / "ve.safetensors", folder / "t3_cfg.safetensors")
    assert opened(folder).prequantized is None


def test_the_whole_hash_of_the_source_counts_not_only_what_the_name_shows(tmp_path: Path) -> None:
    folder = write_weights(tmp_path / "weights", ENGLISH_FILES)
    quantize(opened(folder))
    root = tmp_path / "cache" / "models"
    lock = read_lock(root)
    ((name, entry),) = lock.prequantized.items()
    twin = entry.model_copy(update={"source_sha256": entry.source_sha256[:16] + "0" * 48})
    write_lock(root, lock.model_copy(update={"prequantized": {name: twin}}))
    assert opened(folder).prequantized is None


def test_a_cache_that_others_can_write_to_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_weights(tmp_path / "weights", ENGLISH_FILES)
    (tmp_path / "cache" / "models").mkdir(parents=True)
    (tmp_path / "cache" / "models").chmod(0o777)
    files = opened(folder)
    assert (files.prequantized, files.cache) == (None, None)
    assert "prequantized_not_kept" in [record.message for record in caplog.records]


def test_writing_that_fails_leaves_no_half_file(model_dir: Path) -> None:
    cache = opened(model_dir).cache
    assert cache is not None

    def break_off(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        cache.store(break_off)
    assert list((model_dir / "prequantized").iterdir()) == []
    assert opened(model_dir).prequantized is None


def test_the_name_tells_model_source_and_format(tmp_path: Path) -> None:
    cache = PrequantizedCache(tmp_path, ModelName.ENGLISH, source_sha256="ab" * 32, form=FORMAT)
    assert cache.name == "prequantized/english-abababababababab-int8-v1.safetensors"


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_model_dir() == tmp_path / "chatterqueue" / "models"
    monkeypatch.setenv("CHATTERQUEUE_MODEL_DIR", str(tmp_path / "mine"))
    assert default_model_dir() == tmp_path / "mine"
    assert opening._DEFAULT_CACHE_DIR.name == "chatterqueue-cache"
