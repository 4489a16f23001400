"""The operations in plain torch: what each one means, and what runs where there is no GPU.

They round where the Llama of transformers rounds, so that in float32 a step is the same as its step. Knows nothing of
Triton. The shapes are in `worker.engine.kernels`.
"""

from __future__ import annotations

import math
from typing import Final

import torch  # noqa: TID253 - imported with the engine that needs it
import torch.nn.functional as F  # noqa: N812, TID253 - the name everybody knows it by

from worker.engine.kernels.kvlayer import KVLayer, round_to_int8
from worker.engine.kernels.packedlinear import INT8_MAX, PackedLinear

#: Entries of a prefill that belong together: they are of one row, and their positions follow each other.
PREFILL_BLOCK: Final = 32


def linear(x: torch.Tensor, packed: PackedLinear) -> torch.Tensor:
    """Multiply by the weight; beside int8 in float32, and rounded once at the end."""
    if packed.absmax is None:
        return F.linear(x, packed.weight)
    product = F.linear(x.float(), packed.weight.float())
    return (product * (packed.absmax / INT8_MAX)).to(x.dtype)


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """Divide each row by its root mean square (Zhang & Sennrich 2019, arXiv 1910.07467)."""
    wide = x.float()
    normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return weight * normed.to(x.dtype)


def add_rms_norm(
    x: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Add, round, and normalise what was rounded."""
    total = residual + x
    return rms_norm(total, weight, eps), total


def rope_and_store(
    qkv: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    rows: torch.Tensor,
    positions: torch.Tensor,
    layer: KVLayer,
) -> torch.Tensor:
    """Write keys and values into the cache; see `worker.engine.kernels.operations`."""
    _, num_heads, _, head_size = layer.keys.shape
    q, k, v = qkv.view(-1, 3, num_heads, head_size).unbind(1)
    cos, sin = cos[positions].unsqueeze(1), sin[positions].unsqueeze(1)
    k = _rotate(k, cos, sin)
    if layer.absmax is None:
        layer.keys[rows, :, positions] = k.to(qkv.dtype)
        layer.values[rows, :, positions] = v
    else:
        layer.keys[rows, :, positions], k_absmax = round_to_int8(k)
        layer.values[rows, :, positions], v_absmax = round_to_int8(v.float())
        layer.absmax[rows, :, positions] = torch.stack([k_absmax, v_absmax], dim=-1)
    return _rotate(q, cos, sin).to(qkv.dtype)


def decode_attention(q: torch.Tensor, layer: KVLayer, rows: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Attend to the first `lengths` positions, whatever the others hold (Vaswani et al. 2017, arXiv 1706.03762)."""
    k, v = layer.read(rows, layer.keys.shape[2])
    is_read = torch.arange(k.shape[2], device=q.device) < lengths.view(-1, 1)
    scores = torch.einsum("bhd,bhsd->bhs", q.float(), k.float()) / math.sqrt(q.shape[-1])
    weights = scores.masked_fill(~is_read.unsqueeze(1), -math.inf).softmax(-1)
    # A weight of zero does not hide a NaN that nobody wrote.
    v = v.float().masked_fill(~is_read[:, None, :, None], 0.0)
    return torch.einsum("bhs,bhsd->bhd", weights, v).to(q.dtype)


def prefill_attention(q: torch.Tensor, layer: KVLayer, rows: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Attend from each block to the positions of its row up to itself; see `worker.engine.kernels.operations`."""
    out = torch.empty_like(q)
    for begin in range(0, q.shape[0], PREFILL_BLOCK):
        block = slice(begin, begin + PREFILL_BLOCK)
        position = positions[begin] + torch.arange(PREFILL_BLOCK, device=q.device)
        end = min(int(position[-1]) + 1, layer.keys.shape[2])
        keys, values = (part.float() for part in layer.read(rows[begin : begin + 1], end))
        is_seen = torch.arange(end, device=q.device) <= position.unsqueeze(1)
        asked = q[block].float().transpose(0, 1).unsqueeze(0)
        attended = F.scaled_dot_product_attention(asked, keys, values, attn_mask=is_seen)
        out[block] = attended[0].transpose(0, 1).to(q.dtype)
    return out


def silu_mul(gate_up: torch.Tensor) -> torch.Tensor:
    """Gate the second half by the first (SwiGLU, Shazeer 2020, arXiv 2002.05202)."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate) * up


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate pairs (d, d + D / 2) of x [B, H, D]; returns float32 (Su et al. 2021, arXiv 2104.09864, section 3.4.2)."""
    first, second = x.float().chunk(2, dim=-1)
    return x.float() * cos + torch.cat([-second, first], dim=-1) * sin
