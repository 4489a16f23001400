"""Int8 turns every Linear of a T3 and nothing else; on a CPU the same layers run, only slower."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import bitsandbytes as bnb  # noqa: TID253
import pytest
import torch  # noqa: TID253
from tiny_t3 import exact_int_mm, text_ids, tiny_t3, tiny_voice

from worker.errors import ModelLoadError
from worker.models import fidelity
from worker.models.generation import generate_tokens
from worker.models.prequantized import (
    describe_source,
    is_current,
    load_quantized_t3,
    save_quantized_t3,
)
from worker.models.quantization import count_linears, quantize_t3, replace_linears
from worker.models.sampling import Sampling

GREEDY = Sampling(min_p=1.0)

#: torch warns of a call in the package's conditioning.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(autouse=True)
def _exact_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "_int_mm", exact_int_mm)


@pytest.fixture(params=["english", "multilingual"])
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_linear_becomes_int8_and_keeps_its_name_and_bias(model: str) -> None:
    full, t3 = tiny_t3(model), tiny_t3(model)
    quantize_t3(t3, "cpu")
    assert [name for name, _ in t3.named_modules()] == [name for name, _ in full.named_modules()]
    linears = {name: module for name, module in full.named_modules() if isinstance(module, torch.nn.Linear)}
    assert count_linears(t3) == (len(linears), len(linears))
    for name, linear in linears.items():
        layer = t3.get_submodule(name)
        assert type(layer) is bnb.nn.Linear8bitLt
        assert type(layer.weight) is bnb.nn.Int8Params
        assert layer.state.has_fp16_weights is False
        assert layer.state.threshold == 0.0
        scale = layer.weight.SCB[:, None] / 127
        # Half a step of the rounding, and that of the half precision that it starts from.
        assert (layer.weight.data * scale - linear.weight).abs().max() <= 0.51 * scale.max() + 1e-4
        assert (layer.bias is None) == (linear.bias is None)
        if linear.bias is not None:
            assert torch.equal(layer.bias, linear.bias.half())


def test_rotary_frequencies_stay_in_full_precision() -> None:
    t3 = quantize_t3(tiny_t3(), "cpu")
    assert t3.tfmr.rotary_emb.inv_freq.dtype == torch.float32
    assert {parameter.dtype for parameter in t3.parameters()} == {torch.int8, torch.float16}


def test_a_layer_that_is_reachable_twice_stays_one_layer() -> None:
    root = torch.nn.ModuleDict({"a": torch.nn.Sequential(torch.nn.Linear(8, 8)), "b": torch.nn.ModuleList()})
    root["b"].append(root["a"][0])
    assert replace_linears(root, threshold=6.0) == ["a.0", "b.0"]
    assert root["a"][0] is root["b"][0]
    assert root["a"][0].state.threshold == 6.0


def test_what_a_stock_call_left_in_the_module_tree_is_dropped() -> None:
    t3 = tiny_t3()
    stock_tokens(t3, 2)
    assert hasattr(t3, "patched_model")
    names = {name for name, _ in tiny_t3().named_modules()}
    assert {name for name, _ in quantize_t3(t3, "cpu").named_modules()} == names


def test_no_full_weight_survives_on_the_host() -> None:
    t3 = quantize_t3(tiny_t3(), "cpu")
    num_values = sum(parameter.numel() for parameter in t3.parameters())
    num_bytes = sum(parameter.untyped_storage().nbytes() for parameter in t3.parameters())
    linears = sum(m.weight.numel() for m in t3.modules() if isinstance(m, torch.nn.Linear))
    assert num_bytes == linears + 2 * (num_values - linears)


def test_a_step_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    t3 = quantize_t3(tiny_t3(), "cpu")
    with caplog.at_level(logging.DEBUG, logger="bitsandbytes"):
        t3.speech_head(torch.randn(1, 1024))  # an input that bitsandbytes casts, and says so
        generate_tokens(t3, tiny_voice(), text_ids(), GREEDY, max_tokens=3)
    assert [record.getMessage() for record in caplog.records if "cast" in record.getMessage()] == []


def test_each_int8_layer_gives_nearly_what_the_full_layer_gives(model: str) -> None:
    """Rounding to 8 bits, of weights and of inputs, costs about 1 % of a layer's output; a wrong scale costs all."""
    full, t3 = tiny_t3(model), quantize_t3(tiny_t3(model), "cpu")
    errors: dict[str, float] = {}

    def compare_layer(name: str) -> Any:
        def hook(_module: Any, inputs: Any, output: Any) -> None:
            other = t3.get_submodule(name)(inputs[0].half()).float()
            errors[name] = float((other - output).norm() / output.norm())

        return hook

    linears = [name for name, module in full.named_modules() if isinstance(module, torch.nn.Linear)]
    for name in linears:
        full.get_submodule(name).register_forward_hook(compare_layer(name))
    generate_tokens(full, tiny_voice(), text_ids(), GREEDY, max_tokens=2)
    assert set(errors) == set(linears) - {"text_head"}
    assert max(errors.values()) < 0.03


def test_an_int8_t3_speaks_with_finite_logits_close_to_the_full_ones(model: str) -> None:
    full, t3 = tiny_t3(model), quantize_t3(tiny_t3(model), "cpu")
    tokens, _ = generate_tokens(full, tiny_voice(), text_ids(), GREEDY, max_tokens=8)
    logits = [
        fidelity.teacher_forced_logits(each, tiny_voice(), text_ids(), tokens, cfg_weight=0.5) for each in (full, t3)
    ]
    assert logits[0].shape == (9, 8194)
    # A random T3 is no calm one: half precision alone gives 4e-5 to 1e-4 here, with errors 23 times smaller.
    assert fidelity.distance(*logits).kl < 0.2


def test_an_int8_file_gives_the_same_model(model: str, tmp_path: Path) -> None:
    t3 = quantize_t3(tiny_t3(model), "cpu")
    path = tmp_path / "t3.int8.safetensors"
    save_quantized_t3(t3, path)
    loaded = load_quantized_t3(path, "cpu")
    expected, _ = generate_tokens(t3, tiny_voice(), text_ids(), GREEDY, max_tokens=6)
    found, _ = generate_tokens(loaded, tiny_voice(), text_ids(), GREEDY, max_tokens=6)
    assert found.tolist() == expected.tolist()
    # After a first use bitsandbytes keeps the scales elsewhere; the file is the same.
    save_quantized_t3(t3, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_a_full_t3_is_not_written_as_int8(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="only 0 of"):
        save_quantized_t3(tiny_t3(), tmp_path / "t3.safetensors")
    assert list(tmp_path.iterdir()) == []


def damaged(path: Path, kind: str) -> None:
    from safetensors.torch import load_file, save_file

    content = path.read_bytes()
    tensors = load_file(path)
    metadata = {"format": "chatterqueue-t3-int8-v1"}
    if kind == "cut short":
        path.write_bytes(content[:-100])
    elif kind == "no safetensors file":
        path.write_bytes(b"not a model at all")
    elif kind == "of another format":
        save_file(tensors, path, metadata={"format": "chatterqueue-t3-int8-v0"})
    elif kind == "without the scales of a layer":
        del tensors["speech_head.SCB"]
        save_file(tensors, path, metadata=metadata)
    elif kind == "without a tensor":
        del tensors["tfmr.norm.weight"]
        save_file(tensors, path, metadata=metadata)
    else:
        tensors["speech_head.weight"] = tensors["speech_head.weight"].half()
        save_file(tensors, path, metadata=metadata)


@pytest.mark.parametrize(
    "kind",
    [
        "cut short",
        "no safetensors file",
        "of another format",
        "without the scales of a layer",
        "without a tensor",
        "with a layer that is not int8",
    ],
)
def test_a_damaged_int8_file_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "t3.int8.safetensors"
    save_quantized_t3(quantize_t3(tiny_t3(), "cpu"), path)
    damaged(path, kind)
    with pytest.raises(ModelLoadError, match=r"t3\.int8\.safetensors"):
        load_quantized_t3(path, "cpu")


def test_an_int8_file_of_other_weights_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, path = tmp_path / "t3_cfg.safetensors", tmp_path / "t3_cfg.int8.safetensors"
    source.write_bytes(b"weights")
    save_quantized_t3(quantize_t3(tiny_t3(), "cpu"), path, metadata=describe_source(source))
    assert is_current(path, source)
    source.write_bytes(b"other weights")
    assert not is_current(path, source)
    assert [record.getMessage() for record in caplog.records] == ["int8_file_outdated"]
    source.unlink()
    assert is_current(path, source)


def stock_tokens(t3: Any, num_tokens: int) -> Any:
    text = text_ids()
    return t3.inference(t3_cond=tiny_voice(), text_tokens=torch.stack([text, text]), max_new_tokens=num_tokens)
