"""What the interpreter cannot show: the kernels of a step compile for Hopper, also where there is no GPU."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("triton")

HOPPER = ("cuda", 90, 32)


def compiled(kernel: Any, constants: dict[str, Any], types: dict[str, str], **options: Any) -> Any:
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    signature = {name: "constexpr" if name in constants else types.get(name, "*i64") for name in kernel.arg_names}
    return compile(ASTSource(kernel, signature, constants), target=GPUTarget(*HOPPER), options=options)


@pytest.mark.parametrize("has_verdict", [False, True])
@pytest.mark.parametrize("logits", ["*fp16", "*bf16", "*fp32"])
def test_the_draw_compiles(logits: str, *, has_verdict: bool) -> None:
    from worker.engine.t3 import fuseddraw

    reals = ("temperatures_ptr", "cfg_weights_ptr", "penalties_ptr", "min_ps_ptr")
    types = {"logits_ptr": logits, "seen_ptr": "*u8", "output_stride": "i32", "stop_token": "i32"}
    types |= dict.fromkeys(reals, "*fp32")
    constants = {"vocabulary": 8194, "has_verdict": has_verdict, "block": fuseddraw._BLOCK}
    result = compiled(fuseddraw._draw, constants, types, num_warps=fuseddraw._NUM_WARPS)
    assert "mul.hi.u32" in result.asm["ptx"]


@pytest.mark.parametrize("dtype", ["*fp16", "*bf16", "*fp32"])
def test_the_feed_compiles(dtype: str) -> None:
    from worker.engine.t3 import fusedfeed

    types = dict.fromkeys(("embedding_ptr", "position_embedding_ptr", "hidden_ptr"), dtype)
    result = compiled(fusedfeed._feed, {"num_channels": 1024, "block": 1024}, types, num_warps=4)
    assert "st.global" in result.asm["ptx"]
