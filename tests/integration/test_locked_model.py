"""A worker's start from locked weights with the network gone, and the quantized T3 it leaves for the next one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lockedcheckpoint import linked, locked_checkpoint

from producer.contract.narration import ModelName
from worker.errors import WeightsDamagedError
from worker.models.store.lock import read_lock

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("default")]

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
loaded = load_locked(
    ModelName.MULTILINGUAL, folder, "cpu", precision="fp32", cache_dir=folder / "cache", is_lock_required=True
)
audio = loaded.generate("Bonjour.", "fr")
assert audio.shape[1] > 2400 and torch.isfinite(audio).all()
print("spoke", audio.shape[1])
"""


def test_the_multilingual_model_speaks_without_a_network_or_a_pickle(tmp_path: Path) -> None:
    """The English one does so in a whole worker: test_worker_weights."""
    command = [sys.executable, "-c", START, str(linked(locked_checkpoint(), tmp_path / "weights"))]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf-home")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith("spoke")


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
