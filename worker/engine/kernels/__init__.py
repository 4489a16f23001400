"""The operations of one decode step of T3, each as a plain torch reference and as a Triton kernel for CUDA.

Knows nothing of models, sampling policy, slots or graphs. All of them can be captured in a CUDA graph: no
synchronisation with the host, no shape that depends on data, outputs from torch's allocator (the graph's pool while
it captures). A first call outside of capture compiles the Triton kernels of that precision.

Dimensions, beside those of `worker.engine`: C hidden size, I size of the MLP, K inputs and N outputs of a linear
layer, M rows of its input, R rows of a KV cache, S positions of each of its rows, P positions of the rotary tables.

| operation | takes | gives |
|---|---|---|
| `linear(x, packed)` | x [M, K] | [M, N] |
| `rms_norm(x, weight, eps)` | x [B, C], weight [C] | [B, C] |
| `add_rms_norm(x, residual, weight, eps)` | x, residual [B, C], weight [C] | normed [B, C], x + residual [B, C] |
| `linear_add_rms_norm(x, packed, residual, weight, eps)` | x [B, K], residual [B, N] | the two of `add_rms_norm` |
| `rope_and_store(qkv, cos, sin, rows, positions, layer)` | qkv [B, 3 H D] | q [B, H, D]; writes the layer |
| `decode_attention(q, layer, rows, lengths)` | q [B, H, D], keys and values [R, H, S, D] | [B, H, D] |
| `prefill_attention(q, layer, rows, positions)` | q [B, H, D], B whole blocks of `PREFILL_BLOCK` | [B, H, D] |
| `silu_mul(gate_up)` | gate_up [B, 2 I], gate first | [B, I] |
| `linear_silu_mul(x, packed)` | x [M, K], packed of 2 I outputs | [M, I] |

Precisions: float32, bfloat16 and float16 throughout; an int8 `PackedLinear` or `KVLayer` takes any of them and is meant
for float16. Tensors are contiguous in their last dimension; inputs without strides in the table are contiguous.
"""

from worker.engine.kernels.kvlayer import KVLayer
from worker.engine.kernels.operations import (
    add_rms_norm,
    decode_attention,
    linear,
    linear_add_rms_norm,
    linear_silu_mul,
    prefill_attention,
    rms_norm,
    rope_and_store,
    silu_mul,
)
from worker.engine.kernels.packedlinear import PackedLinear
from worker.engine.kernels.reference import PREFILL_BLOCK

__all__ = [
    "PREFILL_BLOCK",
    "KVLayer",
    "PackedLinear",
    "add_rms_norm",
    "decode_attention",
    "linear",
    "linear_add_rms_norm",
    "linear_silu_mul",
    "prefill_attention",
    "rms_norm",
    "rope_and_store",
    "silu_mul",
]
