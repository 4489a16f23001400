"""Int8 to float and back within a kernel. Knows nothing of what the numbers mean."""

from __future__ import annotations

import os
from typing import Final

import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

#: Whether kernels may use instructions of the GPU: Triton's interpreter, with which they are tested where there is no
#: GPU, knows none.
HAS_ASSEMBLY: Final = os.environ.get("TRITON_INTERPRET", "0") == "0"

#: What `to_biased_float32` adds: 2**15, where a float32 has eight bits left below 1, and 128: bytes have no sign then.
BIAS = tl.constexpr(32896.0)


@triton.jit  # type: ignore[untyped-decorator]
def to_float(weight: tl.tensor, dtype: tl.constexpr, has_assembly: tl.constexpr) -> tl.tensor:
    """Convert int8 to float, which is exact.

    A float16 of bits 0x6400 + u is 1024 + u; four numbers so take five instructions where the conversion of the
    hardware takes four, each at a quarter of the speed (Kim et al. 2022, arXiv 2211.10017, FasterTransformer).
    """
    if has_assembly:
        return tl.inline_asm_elementwise(
            """{ .reg .b32 u, zero;
            mov.b32 zero, 0x64806480;
            xor.b32 u, $2, 0x80808080;
            prmt.b32 $0, u, 0x64646464, 0x4140;
            prmt.b32 $1, u, 0x64646464, 0x4342;
            sub.f16x2 $0, $0, zero;
            sub.f16x2 $1, $1, zero; }""",
            "=r,=r,r",
            [weight],
            dtype=tl.float16,
            is_pure=True,
            pack=4,
        )
    return weight.to(dtype)


@triton.jit  # type: ignore[untyped-decorator]
def to_float32(x: tl.tensor, has_assembly: tl.constexpr) -> tl.tensor:
    """Convert int8 to float32, which is exact, for sums that tensor cores do not make.

    As `to_float`: a float32 of bits 0x4B000000 + u is 2**23 + u. Two instructions a number, where the conversion of
    the hardware is one of a quarter of the speed or less.
    """
    if has_assembly:
        return tl.inline_asm_elementwise(
            """{ .reg .b32 u, a, b, c, d;
            xor.b32 u, $4, 0x80808080;
            prmt.b32 a, u, 0x4B000000, 0x7440;
            prmt.b32 b, u, 0x4B000000, 0x7441;
            prmt.b32 c, u, 0x4B000000, 0x7442;
            prmt.b32 d, u, 0x4B000000, 0x7443;
            sub.f32 $0, a, 0f4B000080;
            sub.f32 $1, b, 0f4B000080;
            sub.f32 $2, c, 0f4B000080;
            sub.f32 $3, d, 0f4B000080; }""",
            "=f,=f,=f,=f,r",
            [x],
            dtype=tl.float32,
            is_pure=True,
            pack=4,
        )
    return x.to(tl.float32)


@triton.jit  # type: ignore[untyped-decorator]
def to_biased_float32(x: tl.tensor, has_assembly: tl.constexpr) -> tl.tensor:
    """Convert int8 to float32 and add `BIAS`, which is exact, by one instruction a number.

    A float32 of bits 0x47000000 + 256 u is 2**15 + u. Whoever adds up such numbers subtracts the biases at the end;
    a sum of float32 loses some nine of its 24 bits by that, and keeps more than eight bits have.
    """
    if has_assembly:
        return tl.inline_asm_elementwise(
            """{ .reg .b32 u;
            xor.b32 u, $4, 0x80808080;
            prmt.b32 $0, u, 0x47000000, 0x7404;
            prmt.b32 $1, u, 0x47000000, 0x7414;
            prmt.b32 $2, u, 0x47000000, 0x7424;
            prmt.b32 $3, u, 0x47000000, 0x7434; }""",
            "=r,=r,=r,=r,r",
            [x],
            dtype=tl.float32,
            is_pure=True,
            pack=4,
        )
    return x.to(tl.float32) + BIAS


@triton.jit  # type: ignore[untyped-decorator]
def dot16(x: tl.tensor, high: tl.tensor, low: tl.tensor, has_assembly: tl.constexpr) -> tl.tensor:
    """Multiply four int8 by four int16, which come in halves of eight bits, and add the products: all in int32.

    Of 64 such products at most 64 * 127 * 32512, which is below 2**31.
    """
    if has_assembly:
        return tl.inline_asm_elementwise(
            """{ .reg .b32 sum;
            dp4a.s32.s32 sum, $1, $2, 0;
            shl.b32 sum, sum, 8;
            dp4a.s32.s32 $0, $1, $3, sum; }""",
            "=r,r,r,r",
            [x, high, low],
            dtype=tl.int32,
            is_pure=True,
            pack=1,
        )
    total = x * 0
    for byte in tl.static_range(4):
        factor = (_byte(high, byte) << 8) + _byte(low, byte)
        total += _byte(x, byte) * factor
    return total


@triton.jit  # type: ignore[untyped-decorator]
def _byte(word: tl.tensor, number: tl.constexpr) -> tl.tensor:
    """Return one of the four int8 of an int32, as int32."""
    return (word << (24 - 8 * number)) >> 24


@triton.jit  # type: ignore[untyped-decorator]
def magnitude(x: tl.tensor) -> tl.tensor:
    """Return |x|, and infinity for what is no number, which a maximum would pass over."""
    return tl.where(x == x, tl.abs(x), float("inf"))


@triton.jit  # type: ignore[untyped-decorator]
def to_int8(x: tl.tensor) -> tl.tensor:
    """Round float32 of at most 127 to int8, half to even: beside 1.5 * 2**23 there are no bits below 1."""
    return ((x + 12582912.0) - 12582912.0).to(tl.int8)


@triton.jit  # type: ignore[untyped-decorator]
def lower_half(word: tl.tensor) -> tl.tensor:
    """Return the first of two float16 that were loaded as one int32, as float32."""
    return word.to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32)


@triton.jit  # type: ignore[untyped-decorator]
def upper_half(word: tl.tensor) -> tl.tensor:
    """Return the second of two float16 that were loaded as one int32, as float32."""
    return (word >> 16).to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32)
