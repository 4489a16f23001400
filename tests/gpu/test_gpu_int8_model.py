"""Int8 on a real GPU: what becomes of the modules, what it costs to load, and that both models speak."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from worker.models.footprint import Footprint, measured

pytestmark = pytest.mark.gpu

MODELS = ["english", "multilingual"]
MAX_INT8_MIB = 580
MAX_LOADING_PEAK = 1.3
MIN_WARM_START_GAIN = 3.0


def files_of(model: str) -> Any:
    from worker.models.checkpoint import ENGLISH, MULTILINGUAL

    return {"english": ENGLISH, "multilingual": MULTILINGUAL}[model]


def class_of(model: str) -> Any:
    from worker.models import ChatterboxMultilingualTTS, ChatterboxTTS

    return {"english": ChatterboxTTS, "multilingual": ChatterboxMultilingualTTS}[model]


def warm_up() -> None:
    """Load CUDA, cuBLAS and bitsandbytes, which the first load of a process pays for."""
    import torch

    from worker.models.quantization import quantize_t3

    layer = torch.nn.Sequential(torch.nn.Linear(64, 64))
    quantize_t3(layer, "cuda")(torch.randn(2, 64, device="cuda", dtype=torch.float16))


def drop_from_memory(path: Path) -> None:
    """Make the system forget what it holds of a file, so that the next read is from the disk, as after a boot."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.parametrize("model", MODELS)
def test_t3_takes_a_quarter_of_the_memory_and_loads_without_a_second_copy(
    model: str, full_checkpoint: Any, figures: dict[str, Any], tmp_path: Path
) -> None:
    from worker.models.checkpointparts import load_t3
    from worker.models.prequantized import save_quantized_t3

    directory, files = full_checkpoint(model, stops_after=3), files_of(model)
    cache = tmp_path / "t3.safetensors"
    found: dict[str, Any] = {}
    names: list[str] = []

    def load(name: str, path: Path, **options: Any) -> tuple[Any, Footprint]:
        drop_from_memory(path)
        with measured("cuda") as cold:
            load_t3(directory, files, "cuda", **options)
        with measured("cuda") as footprint:
            t3 = load_t3(directory, files, "cuda", **options)
        assert (names or [name for name, _ in t3.named_modules()]) == [name for name, _ in t3.named_modules()]
        names[:] = [name for name, _ in t3.named_modules()]
        found[name] = {
            "t3_mib": round(footprint.device_mib, 1),
            "peak_mib": round(footprint.peak_device_mib, 1),
            "seconds": round(footprint.seconds, 3),
            "seconds_from_disk": round(cold.seconds, 3),
            "peak_host_private_mib": round(footprint.peak_host_mib, 1),
            "peak_host_with_files_mib": round(footprint.peak_host_with_files_mib, 1),
        }
        return t3, footprint

    warm_up()
    load("fp32", directory / files.t3)
    t3, int8 = load("int8 from fp32", directory / files.t3, precision="int8")
    save_quantized_t3(t3, cache)
    del t3
    _, own = load("int8 from its own file", cache, precision="int8", int8_path=cache)
    slow, fast = found["int8 from fp32"], found["int8 from its own file"]
    found["warm_start_gain"] = round(slow["seconds_from_disk"] / fast["seconds_from_disk"], 2)
    found["warm_start_gain_files_in_memory"] = round(slow["seconds"] / fast["seconds"], 2)
    figures[model] = found
    assert int8.device_mib <= MAX_INT8_MIB
    assert int8.peak_device_mib <= MAX_LOADING_PEAK * int8.device_mib
    assert own.peak_device_mib <= MAX_LOADING_PEAK * own.device_mib
    assert found["warm_start_gain"] >= MIN_WARM_START_GAIN


@pytest.mark.parametrize("model", MODELS)
def test_every_linear_of_t3_is_int8_and_nothing_else_changes(model: str, full_checkpoint: Any) -> None:
    import bitsandbytes as bnb
    import torch

    directory = full_checkpoint(model, stops_after=3)
    full = class_of(model).from_local(directory, "cpu")
    int8 = class_of(model).from_local(directory, "cuda", use_bnb_quantization=True)
    expected = {name for name, module in full.t3.named_modules() if isinstance(module, torch.nn.Linear)}
    found = {name: module for name, module in int8.t3.named_modules() if isinstance(module, torch.nn.Linear)}
    assert set(found) == expected
    assert len(expected) == 30 * 7 + 8
    for name, module in found.items():
        assert type(module) is bnb.nn.Linear8bitLt, name
        assert type(module.weight) is bnb.nn.Int8Params, name
        assert module.weight.dtype == torch.int8, name
        assert module.weight.device.type == "cuda", name
        assert (module.state.has_fp16_weights, module.state.threshold) == (False, 0.0), name
        assert (module.bias is None) == (full.t3.get_submodule(name).bias is None), name
    for name, parameter in int8.t3.named_parameters():
        assert parameter.dtype in {torch.int8, torch.float16}, name
    assert int8.t3.tfmr.rotary_emb.inv_freq.dtype == torch.float32
    for part in ("s3gen", "ve"):
        before = {name: (type(m).__name__, m.training) for name, m in getattr(full, part).named_modules()}
        after = {name: (type(m).__name__, m.training) for name, m in getattr(int8, part).named_modules()}
        assert before == after
        for name, value in getattr(full, part).state_dict().items():
            assert torch.equal(value, getattr(int8, part).state_dict()[name].cpu()), name


@pytest.mark.parametrize("cfg_weight", [0.0, 0.5])
@pytest.mark.parametrize("model", MODELS)
def test_both_models_speak_in_int8(
    model: str, cfg_weight: float, full_checkpoint: Any, capfd: pytest.CaptureFixture[str], caplog: Any
) -> None:
    import torch

    speaker = class_of(model).from_local(full_checkpoint(model, stops_after=3), "cuda", use_bnb_quantization=True)
    more = {"language_id": "fr"} if model == "multilingual" else {}
    capfd.readouterr()
    caplog.clear()
    caplog.set_level("WARNING", logger="bitsandbytes")
    samples = speaker.generate("Bonjour, mes amis.", cfg_weight=cfg_weight, **more)
    assert samples.shape[0] == 1
    assert samples.shape[1] >= 960  # at least one speech token of 40 ms
    assert torch.isfinite(samples).all()
    assert float(speaker.watermarker.get_watermark(samples[0].numpy(), sample_rate=speaker.sr).mean()) > 0.95
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name.startswith("bitsandbytes")] == []
