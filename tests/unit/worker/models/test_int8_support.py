"""Why int8 does not run here, in one sentence each, before a weight is read."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny_t3  # noqa: F401 - imports the packages without their warnings
import torch  # noqa: TID253

from worker.errors import ModelLoadError
from worker.models import int8_support


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_another_device_is_named(device: str) -> None:
    with pytest.raises(ModelLoadError, match=f"needs an NVIDIA GPU .* the device is '{device}'"):
        int8_support.require_int8_support(device)


def test_a_missing_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelLoadError, match="sees none"):
        int8_support.require_int8_support("cuda")


@pytest.mark.usefixtures("cuda")
def test_missing_bitsandbytes_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else find(name))
    with pytest.raises(ModelLoadError) as raised:
        int8_support.require_int8_support("cuda:0")
    assert str(raised.value) == f"int8 needs bitsandbytes, which is not installed: {int8_support.INSTALL_COMMAND}"
    assert int8_support.INSTALL_COMMAND.startswith("pip install ")


@pytest.mark.usefixtures("cuda")
def test_broken_bitsandbytes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise OSError(f"{name}: libcudart.so.13 not found")

    monkeypatch.setattr(int8_support.importlib, "import_module", fail)
    with pytest.raises(ModelLoadError, match=r"does not import \(bitsandbytes: libcudart"):
        int8_support.require_int8_support("cuda")


@pytest.mark.usefixtures("cuda")
def test_bitsandbytes_without_a_cuda_library_is_named() -> None:
    # On this machine without a GPU bitsandbytes has loaded its library for the CPU.
    pytest.importorskip("bitsandbytes")
    with pytest.raises(ModelLoadError, match="has no library for CUDA"):
        int8_support.require_int8_support("cuda")


def test_a_loaded_cuda_library_is_accepted() -> None:
    library = type("CudaBNBNativeLibrary", (), {})()
    int8_support.require_cuda_library(SimpleNamespace(cextension=SimpleNamespace(lib=library), __version__="0.50.2"))


@pytest.mark.parametrize("name", ["ChatterboxTTS", "ChatterboxMultilingualTTS"])
@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_the_classes_refuse_before_they_look_at_the_folder(name: str, device: str, tmp_path: Path) -> None:
    from worker import models

    with pytest.raises(ModelLoadError, match=f"the device is '{device}'"):
        getattr(models, name).from_local(tmp_path / "nothing", device, use_bnb_quantization=True)
    with pytest.raises(ModelLoadError, match=f"the device is '{device}'"):
        getattr(models, name).from_pretrained(device, use_bnb_quantization=True)
