"""Int8 on a real GPU: what becomes of the modules, what it costs to load, and that both models speak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from worker.models.footprint import measured

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


@pytest.mark.parametrize("model", MODELS)
def test_t3_takes_a_quarter_of_the_memory_and_loads_without_a_second_copy(
    model: str, full_checkpoint: Any, figures: dict[str, Any], tmp_path: Path
) -> None:
    from worker.models.checkpointparts import load_t3

    directory, files = full_checkpoint(model, stops_after=3), files_of(model)
    warm_up()
    # Into the page cache, where the int8 file will be too.
    (directory / files.t3).read_bytes()
    with measured("cuda") as full:
        t3 = load_t3(directory, files, "cuda")
    names = [name for name, _ in t3.named_modules()]
    del t3
    with measured("cuda") as int8:
        t3 = load_t3(directory, files, "cuda", precision="int8")
    assert [name for name, _ in t3.named_modules()] == names
    from worker.models.prequantized import save_quantized_t3

    cache = tmp_path / "t3.safetensors"
    save_quantized_t3(t3, cache)
    del t3
    with measured("cuda") as warm:
        t3 = load_t3(directory, files, "cuda", precision="int8", int8_path=cache)
    assert [name for name, _ in t3.named_modules()] == names
    figures[model] = {
        name: {
            "t3_mib": round(footprint.device_mib, 1),
            "peak_mib": round(footprint.peak_device_mib, 1),
            "seconds": round(footprint.seconds, 3),
            "peak_host_private_mib": round(footprint.peak_host_mib, 1),
            "peak_host_with_files_mib": round(footprint.peak_host_with_files_mib, 1),
        }
        for name, footprint in (("fp32", full), ("int8 from fp32", int8), ("int8 from its own file", warm))
    }
    figures[model]["warm_start_gain"] = round(int8.seconds / warm.seconds, 2)
    assert int8.device_mib <= MAX_INT8_MIB
    assert int8.peak_device_mib <= MAX_LOADING_PEAK * int8.device_mib
    assert warm.peak_device_mib <= MAX_LOADING_PEAK * warm.device_mib
    assert int8.seconds >= MIN_WARM_START_GAIN * warm.seconds


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
