"""The quantized T3 that a start leaves for the next one."""

from __future__ import annotations

from pathlib import Path

import pytest
from lockedcheckpoint import linked, locked_checkpoint

from producer.contract.narration import ModelName
from worker.errors import WeightsDamagedError
from worker.models.store.lock import read_lock

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("default")]


def test_the_second_int8_start_reads_no_full_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU bitsandbytes rounds as it does on a GPU; only the check for one is left out."""
    import tiny_t3  # noqa: F401 - imports the packages without their warnings

    from worker.models import checkpointparts, int8_support
    from worker.models.lockedmodel import load_locked

    monkeypatch.setattr(int8_support, "require_cuda_device", lambda device: None)
    monkeypatch.setattr(int8_support, "require_cuda_library", lambda library: None)
    # What this is about is T3.
    monkeypatch.setattr(checkpointparts, "load_s3gen", lambda *_: None)
    folder = linked(locked_checkpoint(), tmp_path / "weights")

    def start() -> object:
        return load_locked(ModelName.ENGLISH, folder, "cpu", precision="int8", cache_dir=tmp_path / "cache")

    first = start()
    ((name, entry),) = read_lock(folder).prequantized.items()
    assert entry.source == "t3_cfg.safetensors"
    (folder / "t3_cfg.safetensors").unlink()
    second = start()
    for (key, one), other in zip(first.t3.state_dict().items(), second.t3.state_dict().values(), strict=True):  # type: ignore[attr-defined]
        assert one.equal(other), key
    (folder / name).write_bytes(b"damaged")
    with pytest.raises(WeightsDamagedError, match=r"t3_cfg\.safetensors: is not there"):
        start()
