"""Int8 to float within a kernel. Knows nothing of what the numbers mean."""

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
