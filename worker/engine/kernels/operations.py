"""The one place where an operation is sent to Triton, on CUDA, or to the plain torch reference, elsewhere.

Knows neither how they compute nor who asks. The modules of Triton are imported at the first use on a GPU: on a
machine without one, Triton may be missing.
"""

from __future__ import annotations

import torch  # noqa: TID253 - imported with the engine that needs it
import torch.nn.functional as F  # noqa: N812, TID253 - the name everybody knows it by

from worker.engine.kernels import reference
from worker.engine.kernels.kvlayer import KVLayer
from worker.engine.kernels.packedlinear import PackedLinear


def linear(x: torch.Tensor, packed: PackedLinear) -> torch.Tensor:
    """Multiply each row of x by a packed weight.

    A float weight is multiplied by cuBLAS. An int8 weight stays int8 in memory and becomes float16 in registers; the
    activations are not rounded to int8, so the result is nearer to the unquantised layer than that of bitsandbytes.
    Beside float32 activations it becomes float32, in memory and at each call: exact, and slow.

    Args:
        x: [M, K], of the precision of a float weight; beside an int8 weight any float.
        packed: [N, K].

    Returns:
        [M, N] in the precision of x.
    """
    if packed.absmax is None:
        return F.linear(x, packed.weight)
    if not _is_fused(x):
        return reference.linear(x, packed)
    from worker.engine.kernels.fused import matmul

    return matmul.linear(x, packed.weight, packed.absmax)


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """Normalise each row of x [B, C] and multiply it by weight [C]; returns [B, C]."""
    if not x.is_cuda:
        return reference.rms_norm(x, weight, eps)
    from worker.engine.kernels.fused import norm

    return norm.rms_norm(x, weight, eps)


def add_rms_norm(
    x: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Add x to the residual stream and normalise the sum.

    Args:
        x: [B, C], what a layer adds to the stream.
        residual: [B, C], the stream; it is left as it is.
        weight: [C].
        eps: added to the mean square.

    Returns:
        The normalised sum [B, C]; the sum [B, C], which is the stream from here on.
    """
    if not x.is_cuda:
        return reference.add_rms_norm(x, residual, weight, eps)
    from worker.engine.kernels.fused import norm

    return norm.add_rms_norm(x, residual, weight, eps)


def linear_add_rms_norm(
    x: torch.Tensor, packed: PackedLinear, residual: torch.Tensor, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `add_rms_norm(linear(x, packed), residual, weight, eps)`, to the rounding of one sum.

    On CUDA an int8 product of few rows is split among programs; here the normalisation adds up their parts, and no
    kernel of its own does.
    """
    if packed.absmax is None or not _is_fused(x):
        return add_rms_norm(linear(x, packed), residual, weight, eps)
    from worker.engine.kernels.fused import matmul, norm

    return norm.add_rms_norm(matmul.partial_linear(x, packed.weight, packed.absmax), residual, weight, eps)


def rope_and_store(
    qkv: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    rows: torch.Tensor,
    positions: torch.Tensor,
    layer: KVLayer,
) -> torch.Tensor:
    """Write the new keys and values into the cache, and return the queries; both rotated by their position.

    Two entries of a batch may name the same row and position (idle entries and their scratch row): which of them stays
    in the cache is not defined.

    Args:
        qkv: [B, 3 H D]: queries, keys and values of all heads, one after the other.
        cos: [P, D] float32, as the rotary embedding of transformers gives it: both halves alike.
        sin: [P, D] float32.
        rows: [B] int32 or int64, the row of the cache of each entry.
        positions: [B] int32 or int64, its position; below P and S.
        layer: of the precision of qkv, or rounded; one position of each entry is written.

    Returns:
        q [B, H, D].
    """
    if not qkv.is_cuda:
        return reference.rope_and_store(qkv, cos, sin, rows, positions, layer)
    from worker.engine.kernels.fused import rotary

    return rotary.rope_and_store(qkv, cos, sin, rows, positions, layer)


def decode_attention(q: torch.Tensor, layer: KVLayer, rows: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Attend from one query of each entry to the positions of its row of the cache.

    On CUDA only the first `lengths` positions are read; nowhere do the others matter, whatever they hold.

    Args:
        q: [B, H, D].
        layer: of the precision of q, or rounded.
        rows: [B] int32 or int64, the row of the cache of each entry.
        lengths: [B] int32 or int64, from 1 to S: the positions to read, the new one included.

    Returns:
        [B, H, D], scaled by 1 / sqrt(D), the softmax in float32.
    """
    if not q.is_cuda:
        return reference.decode_attention(q, layer, rows, lengths)
    from worker.engine.kernels.fused import attention

    return attention.decode_attention(q, layer, rows, lengths)


def prefill_attention(q: torch.Tensor, layer: KVLayer, rows: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Attend from many positions of some rows, each to itself and to those before it in its row.

    The entries come in blocks of `PREFILL_BLOCK`: each is of the row of its first entry, and its positions are the
    first one's and those behind it. What an entry past the last position of the row gets is not defined; so a text
    that ends within a block is padded behind its end, in its own row.

    Args:
        q: [B, H, D], B whole blocks.
        layer: of the precision of q, or rounded; the keys and values of all entries are in it.
        rows: [B] int32 or int64, the row of the cache of each entry.
        positions: [B] int32 or int64, its position.

    Returns:
        [B, H, D], scaled by 1 / sqrt(D), the softmax in float32.
    """
    if not q.is_cuda:
        return reference.prefill_attention(q, layer, rows, positions)
    from worker.engine.kernels.fused import prefillattention

    return prefillattention.prefill_attention(q, layer, rows, positions)


def silu_mul(gate_up: torch.Tensor) -> torch.Tensor:
    """Return silu(gate) * up [B, I] of gate_up [B, 2 I], the gate first."""
    if not gate_up.is_cuda:
        return reference.silu_mul(gate_up)
    from worker.engine.kernels.fused import activation

    return activation.silu_mul(gate_up)


def linear_silu_mul(x: torch.Tensor, packed: PackedLinear) -> torch.Tensor:
    """Return `silu_mul(linear(x, packed))` [M, I] of x [M, K], to the rounding of one sum; packed is [2 I, K].

    On CUDA an int8 product is gated before it is written.
    """
    if packed.absmax is None or not _is_fused(x):
        return silu_mul(linear(x, packed))
    from worker.engine.kernels.fused import matmul

    return matmul.linear_silu_mul(x, packed.weight, packed.absmax)


def _is_fused(x: torch.Tensor) -> bool:
    """Return whether int8 is multiplied by the tensor cores, which know no float32."""
    return x.is_cuda and x.dtype != torch.float32
