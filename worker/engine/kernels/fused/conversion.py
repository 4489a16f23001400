"""Int8 to float and back within a kernel. Knows nothing of what the numbers mean."""

from __future__ import annotations

import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]


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
