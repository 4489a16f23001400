"""What keeps the Chatterbox engine from starting: files that are gone, broken or not meant, and a missing watermark."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chatterboxengine import built, settings_of
from lockedcheckpoint import flip_a_byte, linked, locked_checkpoint, replaced
from safetensors.numpy import save_file
from small_checkpoint import BOTH, cached_checkpoint

from producer.contract.narration import EngineName, ModelName
from worker.engine.protocol import Engine
from worker.engine.selection import build_engine
from worker.errors import ModelLoadError, WatermarkError, WeightsDamagedError, WeightsLockError, WorkerStartError
from worker.models import checkpointparts
from worker.models.checkpoint import revision

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]  # the packages warn at every turn


@pytest.fixture(scope="module")
def loaded() -> Iterator[Engine]:
    """An engine that nothing kept from loading."""
    engine = built(locked_checkpoint())
    engine.load()
    yield engine
    engine.close(30)


@pytest.fixture
def unlocked(tmp_path: Path) -> Path:
    """A folder with links to the files of both models, to break one of them; it has no lock."""
    return linked(cached_checkpoint(BOTH), tmp_path / "weights")


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """The same with a lock."""
    return linked(locked_checkpoint(), tmp_path / "weights")


@pytest.mark.parametrize("name", ["t3_cfg.safetensors", "s3gen.pt", "conds.pt"])
def test_a_truncated_file_stops_the_worker_before_anything_is_loaded(unlocked: Path, name: str) -> None:
    with (unlocked / name).open("rb") as file:
        start = file.read(5000)
    replaced(unlocked / name).write_bytes(start)
    with pytest.raises(ModelLoadError) as caught:
        build_engine(EngineName.CHATTERBOX, settings_of(unlocked))
    assert f"{unlocked / name} " in str(caught.value)


@pytest.mark.parametrize("verification", ["full", "stamp"])
def test_a_changed_file_stops_the_worker_and_is_named(locked: Path, verification: str) -> None:
    flip_a_byte(locked / "ve.safetensors")
    with pytest.raises(WeightsDamagedError, match=r"ve\.safetensors: was changed"):
        built(locked, verification=verification).load()


def test_a_locked_file_that_is_gone_stops_the_worker_and_is_named(locked: Path) -> None:
    (locked / "s3gen.pt.safetensors").unlink()
    for path in locked.glob("t3_cfg*"):
        path.unlink()
    with pytest.raises(WeightsDamagedError, match=r"t3_cfg\.safetensors: is not there"):
        built(locked).load()


def test_weights_without_a_lock_are_loaded_with_a_warning_or_refused(
    unlocked: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (unlocked / "t3_mtl23ls_v2.safetensors").unlink()
    with pytest.raises(WeightsLockError, match="chatterqueue models lock"):
        built(unlocked, require_lock=True).load()
    with caplog.at_level(logging.INFO):
        engine = built(unlocked)
        engine.load()
        engine.close(1)
    (warning,) = [record for record in caplog.records if record.getMessage() == "weights_not_locked"]
    assert "chatterqueue models lock" in warning.remedy
    (said,) = [record for record in caplog.records if record.getMessage() == "model_loaded"]
    assert (said.model, said.precision, said.device) == ("english", "fp32", "cpu")
    # What was spoken before the folder was locked is found again.
    assert engine._revisions[ModelName.ENGLISH] == revision(locked_checkpoint(), ModelName.ENGLISH)  # type: ignore[attr-defined]


def test_a_whole_file_with_the_wrong_tensors_stops_the_worker(unlocked: Path) -> None:
    (unlocked / "t3_mtl23ls_v2.safetensors").unlink()
    save_file({"weight": np.zeros(4, np.float32)}, replaced(unlocked / "ve.safetensors"))
    with pytest.raises(ModelLoadError, match=r"ve\.safetensors does not fit VoiceEncoder"):
        built(unlocked).load()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('{"model": {"type": "BPE", "vocab": {"[STOP]": 0, "[START]": 255, "x": 704}, "merges": []}}', "another model"),
        ('{"model": "none"}', "is no tokenizer of the english model"),
    ],
)
def test_a_tokenizer_that_does_not_fit_stops_the_worker(
    unlocked: Path, content: str, fault: str, loaded: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (unlocked / "t3_mtl23ls_v2.safetensors").unlink()
    replaced(unlocked / "tokenizer.json").write_text(content)
    # It is read last; the parts before it are those of an engine that is loaded.
    english = loaded._speakers[ModelName.ENGLISH].model  # type: ignore[attr-defined]
    for name, part in (("load_t3", english.t3), ("load_s3gen", english.s3gen), ("load_voice_encoder", english.ve)):
        monkeypatch.setattr(checkpointparts, name, lambda *_, part=part, **__: part)
    with pytest.raises(ModelLoadError, match=fault):
        built(unlocked).load()


def test_cuda_that_is_not_there_stops_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(WorkerStartError, match="CHATTERQUEUE_DEVICE"):
        built(locked_checkpoint(), device="cuda").load()


def test_int8_on_a_cpu_stops_the_worker_before_a_file_is_read(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.engine.chatterbox.load_locked", lambda *_, **__: pytest.fail("a file was read"))
    with pytest.raises(ModelLoadError, match="CHATTERQUEUE_PRECISION is int8, which needs an NVIDIA GPU"):
        built(locked, precision="int8").load()


def test_a_watermarker_that_is_silently_missing_stops_the_worker(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perth.PerthImplicitWatermarker", None)
    with pytest.raises(WatermarkError, match="setuptools<81"):
        built(locked).load()


def test_a_watermarker_that_marks_nothing_stops_the_worker(loaded: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "worker.engine.s3gen.watermark.Watermark.apply", lambda self, samples: [each.numpy() for each in samples]
    )
    with pytest.raises(WatermarkError, match="not in what the english model speaks"):
        loaded.warm_up()


def test_a_stand_in_for_the_watermarker_is_refused() -> None:
    import perth

    from worker.models.watermark import check_watermarker

    with pytest.raises(WatermarkError, match="DummyWatermarker"):
        check_watermarker(perth.DummyWatermarker())
