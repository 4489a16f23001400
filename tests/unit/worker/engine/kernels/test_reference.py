"""The plain torch references are the operations of the Llama of transformers, and read only what they may."""

from __future__ import annotations

import pytest
import torch  # noqa: TID253 - the tests compare with torch
import torch.nn.functional as F  # noqa: N812, TID253

from worker.engine import kernels


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rms_norm_is_that_of_llama_to_the_bit(dtype: torch.dtype) -> None:
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    norm = LlamaRMSNorm(48, eps=1e-5).to(dtype)
    norm.weight.data = torch.randn(48).to(dtype)
    x, residual = torch.randn(3, 48).to(dtype), torch.randn(3, 48).to(dtype)
    assert torch.equal(kernels.rms_norm(x, norm.weight.data, 1e-5), norm(x))
    normed, total = kernels.add_rms_norm(x, residual, norm.weight.data, 1e-5)
    assert torch.equal(total, residual + x)
    assert torch.equal(normed, norm(residual + x))


def test_rotation_is_that_of_llama_to_the_bit_and_lands_in_the_cache() -> None:
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    num_entries, num_heads, head_size = 3, 4, 16
    qkv = torch.randn(num_entries, 3 * num_heads * head_size)
    angles = torch.randn(20, head_size // 2).repeat(1, 2)
    cos, sin = angles.cos(), angles.sin()
    rows, positions = torch.tensor([4, 0, 2]), torch.tensor([11, 0, 5])
    caches = torch.zeros(2, 5, num_heads, 12, head_size)
    q = kernels.rope_and_store(qkv, cos, sin, rows, positions, kernels.KVLayer(*caches))

    asked, keys, values = qkv.view(num_entries, 3, num_heads, 1, head_size).unbind(1)
    asked, keys = apply_rotary_pos_emb(asked, keys, cos[positions].unsqueeze(1), sin[positions].unsqueeze(1))
    assert torch.equal(q, asked.squeeze(2))
    for cache, written in zip(caches, (keys, values), strict=True):
        assert torch.equal(cache[rows, :, positions], written.squeeze(2))
        assert cache.count_nonzero() == written.count_nonzero()


def test_attention_is_that_of_torch_whatever_the_unread_positions_hold() -> None:
    q, caches = torch.randn(3, 4, 16), torch.randn(2, 5, 4, 12, 16)
    rows, lengths = torch.tensor([4, 0, 2]), torch.tensor([12, 1, 7])
    expected = [
        F.scaled_dot_product_attention(q[i, :, None], *caches[:, row, :, :length]).squeeze(1)
        for i, (row, length) in enumerate(zip(rows, lengths, strict=True))
    ]
    for row, length in zip(rows, lengths, strict=True):
        caches[:, row, :, length:] = torch.nan
    actual = kernels.decode_attention(q, kernels.KVLayer(*caches), rows, lengths)
    torch.testing.assert_close(actual, torch.stack(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_silu_mul_is_the_gate_of_llama_to_the_bit(dtype: torch.dtype) -> None:
    # Of a multiple of 16, so that the loops of torch have no remainder, which they round otherwise.
    gate, up = torch.randn(2, 1, 64).to(dtype)
    assert torch.equal(kernels.silu_mul(torch.cat([gate, up], dim=-1)), F.silu(gate) * up)


def test_a_float_linear_is_that_of_torch_to_the_bit() -> None:
    x, weight = torch.randn(3, 40), torch.randn(24, 40)
    assert torch.equal(kernels.linear(x, kernels.PackedLinear(weight)), F.linear(x, weight))


def test_an_int8_linear_multiplies_by_the_dequantised_weight() -> None:
    weight = torch.randint(-127, 128, (24, 40), dtype=torch.int8)
    packed = kernels.PackedLinear(weight, torch.rand(24))
    x = torch.randn(3, 40)
    expected = F.linear(x, packed.dequantized())
    torch.testing.assert_close(kernels.linear(x, packed), expected, rtol=1e-5, atol=1e-5)
