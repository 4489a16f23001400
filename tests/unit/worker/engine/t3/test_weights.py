"""The joined weights say what the layers say, in every precision, and are there once."""

from __future__ import annotations

from typing import Any

import pytest
import torch  # noqa: TID253 - the tests compare tensors
from t3decoding import GREEDY, MAX_POSITIONS, make_prompt, run
from tiny_t3 import exact_int_mm, tiny_t3

from worker.engine.kernels import operations
from worker.engine.t3.decoder import Decoder
from worker.engine.t3.slotsize import slot_bytes
from worker.engine.t3.weights import join_weights
from worker.models.quantization import cast_parameters, quantize_t3

#: torch and transformers warn of calls in the package.
pytestmark = pytest.mark.filterwarnings("default")


def t3_of(precision: str) -> Any:
    if precision == "int8":
        return quantize_t3(tiny_t3(), "cpu")
    return cast_parameters(tiny_t3(), {"fp32": "float32", "bf16": "bfloat16"}[precision])


def storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_joined_layers_share_the_memory_of_the_modules(precision: str) -> None:
    t3 = t3_of(precision)
    before = {name: value.clone() for name, value in t3.state_dict().items() if torch.is_tensor(value)}
    weights = join_weights(t3, num_positions=16)
    assert weights.precision == precision
    after = t3.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    for layer, joined in zip(t3.tfmr.layers, weights.layers, strict=True):
        attention, mlp = layer.self_attn, layer.mlp
        for linear in (attention.q_proj, attention.k_proj, attention.v_proj):
            assert storage(linear.weight.data) == storage(joined.qkv.weight)
        for linear in (mlp.gate_proj, mlp.up_proj):
            assert storage(linear.weight.data) == storage(joined.gate_up.weight)
            if precision == "int8":
                assert storage(linear.weight.CB) == storage(joined.gate_up.weight)
                assert storage(linear.weight.SCB) == storage(joined.gate_up.absmax)
        assert storage(attention.o_proj.weight.data) == storage(joined.output.weight)


@pytest.mark.parametrize("is_used", [False, True])
def test_int8_layers_work_as_before_when_they_have_been_joined(is_used: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """bitsandbytes moves the weights from the parameter to the state of a layer when it is first used."""
    monkeypatch.setattr(torch, "_int_mm", exact_int_mm)
    t3 = t3_of("int8")
    x = torch.randn(3, 1024, generator=torch.Generator().manual_seed(1)).half()
    attention = t3_of("int8").tfmr.layers[1].self_attn
    expected = [linear(x) for linear in (attention.q_proj, attention.k_proj, attention.v_proj)]
    attention = t3.tfmr.layers[1].self_attn
    linears = (attention.q_proj, attention.k_proj, attention.v_proj)
    if is_used:
        for linear in linears:
            linear(x)
    joined = join_weights(t3, num_positions=16).layers[1].qkv
    assert all(torch.equal(linear(x), value) for linear, value in zip(linears, expected, strict=True))
    # Ours does not round the activations.
    torch.testing.assert_close(operations.linear(x, joined), torch.cat(expected, dim=1), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_decoder_speaks_in_half_precision(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "_int_mm", exact_int_mm)
    decoder = Decoder(t3_of(precision), precision=precision, num_slots=2, max_positions=MAX_POSITIONS, device="cpu")
    assert decoder._cache.values.dtype == {"bf16": torch.bfloat16, "int8": torch.int8}[precision]
    slots = decoder.admit([make_prompt(0, GREEDY), make_prompt(1)])
    found = run(decoder)
    assert all(found[slot].is_finite for slot in slots)
    again = decoder.admit([make_prompt(1), make_prompt(0, GREEDY)])
    found_again = run(decoder)
    assert [found_again[slot].tokens.tolist() for slot in reversed(again)] == [
        found[slot].tokens.tolist() for slot in slots
    ]


def test_in_eight_bits_too_positions_that_nobody_wrote_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "_int_mm", exact_int_mm)
    t3, found = t3_of("int8"), []
    for scale in (0.0, float("nan")):
        decoder = Decoder(t3, precision="int8", num_slots=2, max_positions=MAX_POSITIONS, device="cpu")
        with torch.inference_mode():
            decoder._cache.values.fill_(127)
            decoder._cache.absmax.fill_(scale)
        slots = decoder.admit([make_prompt(0, GREEDY), make_prompt(1)])
        spoken = run(decoder)
        found.append([spoken[slot].tokens.tolist() for slot in slots])
        assert all(spoken[slot].is_finite for slot in slots)
    assert found[0] == found[1]


def test_logits_that_are_not_finite_are_noticed_in_eight_bits_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is no number becomes whole numbers; its scale says what they are."""
    monkeypatch.setattr(torch, "_int_mm", exact_int_mm)
    t3 = t3_of("int8")
    t3.text_emb.weight.data[21] = float("nan")
    decoder = Decoder(t3, precision="int8", num_slots=2, max_positions=MAX_POSITIONS, device="cpu")
    poisoned = make_prompt(1, GREEDY, text_tokens=torch.tensor([255, 20, 21, 22, 0]))
    sound = make_prompt(0, GREEDY, text_tokens=torch.tensor([255, 30, 31, 0]))
    slots = decoder.admit([poisoned, sound])
    found = run(decoder)
    assert [found[slot].is_finite for slot in slots] == [False, True]


def test_another_precision_than_that_of_the_weights_is_refused() -> None:
    with pytest.raises(AssertionError, match="T3 is fp32, not bf16"):
        Decoder(tiny_t3(), precision="bf16", num_slots=1, max_positions=64, device="cpu")


def test_the_rotary_tables_are_those_of_the_model() -> None:
    t3 = tiny_t3()
    weights = join_weights(t3, num_positions=100)
    cos, sin = t3.tfmr.rotary_emb(torch.zeros(1), position_ids=torch.arange(40, 60).unsqueeze(0))
    assert torch.equal(weights.cos[40:60], cos[0])
    assert torch.equal(weights.sin[40:60], sin[0])
    assert weights.num_voice_positions == 34


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_the_size_of_a_slot_is_what_the_decoder_takes(precision: str) -> None:
    t3 = t3_of(precision)
    config = t3.tfmr.config
    wanted = slot_bytes(
        precision,
        MAX_POSITIONS,
        num_layers=config.num_hidden_layers,
        num_heads=config.num_attention_heads,
        head_size=config.head_dim,
    )
    taken = []
    for num_slots in (2, 7):
        decoder = Decoder(t3, precision=precision, num_slots=num_slots, max_positions=MAX_POSITIONS, device="cpu")
        cache, state = decoder._cache, decoder._state
        scale_bytes = 0 if cache.absmax is None else cache.absmax.nbytes
        taken.append(cache.values.nbytes + scale_bytes + state.seen.nbytes + state.output.nbytes)
    assert taken[1] - taken[0] == 5 * wanted


def test_in_int8_eight_slots_of_full_size_take_a_gibibyte() -> None:
    assert slot_bytes("bf16", 1_024) == 2 * (2 * 30 * 16 * 64 * 1_024 * 2 + 1_024 * 8 + 8_194)
    assert slot_bytes("int8", 1_024) < 0.52 * slot_bytes("bf16", 1_024)
    assert 8 * slot_bytes("int8", 1_024) < 2**30
