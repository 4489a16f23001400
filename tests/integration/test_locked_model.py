"""A worker's start from locked weights with the network gone, and the quantized T3 it leaves for the next one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_checkpoint import BOTH, cached_checkpoint

from producer.contract.narration import ModelName
from worker.errors import WeightsDamagedError
from worker.models.store.lock import read_lock
from worker.models.weights import lock_as_is

pytestmark = [pytest.mark.thorough, pytest.mark.integration, pytest.mark.filterwarnings("default")]

#: Speaks without sockets and without torch.load: whoever used one would be seen.
START = """
import socket, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
def refuse(*args, **kwargs): raise AssertionError("a socket or torch.load was asked for")
socket.socket.connect = socket.getaddrinfo = refuse
import torch
stock_load = torch.load
def load_of_perth_only(path, *args, **kwargs):
    # The watermark's own network is a part of the installed package, pinned with it.
    return stock_load(path, *args, **kwargs) if "perth" in Path(path).parts else refuse()
torch.load = load_of_perth_only
torch.set_num_threads(1)
from producer.contract.narration import ModelName
from worker.models.lockedmodel import load_locked
folder = Path(sys.argv[1])
model = ModelName(sys.argv[2])
loaded = load_locked(
    model, folder, "cpu", precision="fp32", cache_dir=folder / "cache", is_lock_required=True
)
language = () if model is ModelName.ENGLISH else ("fr",)
audio = loaded.generate("Hello there, my friend.", *language)
assert audio.shape[1] > 2400 and torch.isfinite(audio).all()
print("spoke", audio.shape[1])
"""


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    for path in cached_checkpoint(BOTH).iterdir():
        (folder / path.name).symlink_to(path)
    lock_as_is(folder, (ModelName.ENGLISH, ModelName.MULTILINGUAL))
    # What was converted is not needed any more.
    for path in folder.glob("*.pt"):
        path.unlink()
    return folder


@pytest.mark.parametrize("model", ["english", "multilingual"])
def test_a_worker_speaks_from_locked_weights_with_the_network_gone(model_dir: Path, model: str) -> None:
    command = [sys.executable, "-c", START, str(model_dir), model]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(model_dir / "hf-home")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith("spoke")


def test_the_second_int8_start_reads_no_full_weights(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker.models import speaking
    from worker.models.lockedmodel import load_locked

    monkeypatch.setattr(speaking, "require_int8_support", lambda device: None)
    folder = shutil.copytree(model_dir, tmp_path / "weights", symlinks=True)

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
