"""Linear layers become one weight: of float layers, and of the int8 layers of bitsandbytes, before and after use."""

from __future__ import annotations

from typing import Any

import pytest
import torch  # noqa: TID253 - the tests compare with torch
from torch import nn  # noqa: TID253

from worker.engine.kernels import PackedLinear, linear


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def int8_layers(*sizes: tuple[int, int]) -> Any:
    """Layers as `quantize_t3` leaves them, on the CPU."""
    pytest.importorskip("bitsandbytes")
    from worker.models.quantization import quantize_t3

    return quantize_t3(nn.ModuleList([nn.Linear(*size, bias=False) for size in sizes]), "cpu")


def test_float_layers_are_stacked_in_order() -> None:
    layers = [nn.Linear(8, 3, bias=False), nn.Linear(8, 5, bias=False)]
    packed = PackedLinear.pack(layers)
    assert (packed.num_outputs, packed.num_inputs, packed.absmax) == (8, 8, None)
    x = torch.randn(2, 8)
    torch.testing.assert_close(linear(x, packed), torch.cat([layer(x) for layer in layers], dim=-1))


def test_one_layer_is_shared_and_not_copied() -> None:
    layer = nn.Linear(8, 3, bias=False)
    assert PackedLinear.pack([layer]).weight.data_ptr() == layer.weight.data_ptr()


@pytest.mark.parametrize("is_used_before", [False, True])
def test_int8_layers_keep_the_numbers_of_bitsandbytes(*, is_used_before: bool) -> None:
    layers = int8_layers((64, 16), (64, 32))
    x = torch.randn(4, 64, dtype=torch.float16)
    if is_used_before:
        for layer in layers:
            layer(x)
    packed = PackedLinear.pack(layers)
    assert packed.weight.dtype == torch.int8
    assert torch.equal(packed.weight, torch.cat([layer.weight.data for layer in layers]))
    assert packed.absmax.shape == (48,)
    expected = torch.cat([layer(x) for layer in layers], dim=-1)
    torch.testing.assert_close(linear(x, packed), expected, rtol=0.05, atol=0.03)


def test_the_product_is_nearer_to_the_unquantised_layer_than_that_of_bitsandbytes() -> None:
    """Both share the error of the rounded weights; bitsandbytes rounds the activations too."""
    weight = torch.randn(256, 512) / 512**0.5
    layers = int8_layers((512, 256))
    layers[0].weight = type(layers[0].weight)(weight.half(), requires_grad=False, has_fp16_weights=False).to("cpu")
    x = torch.randn(32, 512)
    # Few channels of a language model are much larger than the rest: what makes rounding activations costly.
    x[:, ::100] *= 20
    exact = x.half().float() @ weight.T

    def error(product: torch.Tensor) -> float:
        return ((product.float() - exact).norm() / exact.norm()).item()

    ours = error(linear(x.half(), PackedLinear.pack(list(layers))))
    theirs = error(bitsandbytes_product(x.half(), layers[0]))
    assert ours < 0.008
    assert theirs > 2 * ours


def bitsandbytes_product(x: torch.Tensor, layer: Any) -> torch.Tensor:
    """What its CUDA kernels compute (its CPU path does not round activations), by its own formula."""
    absmax = x.float().abs().amax(dim=1, keepdim=True)
    rounded = torch.round(x.float() * (127 / absmax))
    packed = PackedLinear.pack([layer])
    return ((rounded @ packed.weight.float().T) * absmax / 127 * (packed.absmax / 127)).half()
