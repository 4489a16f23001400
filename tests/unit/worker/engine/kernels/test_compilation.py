"""What the interpreter cannot show: for Hopper the kernels compile, where there is no GPU too, and to what they should.

That they compute the right numbers there is for tests/gpu.
"""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("triton")

HOPPER = ("cuda", 90, 32)


def compiled(kernel: Any, constants: dict[str, Any], types: dict[str, str], **options: Any) -> str:
    """Return the assembly of a kernel; every pointer and size is a multiple of 16, as T3's are."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    signature = {name: "constexpr" if name in constants else types[name] for name in kernel.arg_names}
    aligned = {
        (index,): [["tt.divisibility", 16]]
        for index, type_name in enumerate(signature.values())
        if type_name == "i32" or type_name.startswith("*")
    }
    result = compile(ASTSource(kernel, signature, constants, aligned), target=GPUTarget(*HOPPER), options=options)
    return result.asm["ptx"]


PRODUCT = {
    **dict.fromkeys(("num_rows", "num_outputs", "num_inputs", "inputs_per_split"), "i32"),
    "x_ptr": "*fp16",
    "weight_ptr": "*i8",
    "absmax_ptr": "*fp32",
    "out_ptr": "*fp16",
}


@pytest.mark.parametrize("is_gated", [False, True])
def test_the_product_uses_tensor_cores_and_converts_four_weights_at_once(*, is_gated: bool) -> None:
    from worker.engine.kernels.fused import matmul

    constants = {"is_whole": True, "is_gated": is_gated, "int8_max": 127, "has_assembly": True}
    blocks = {"block_m": 64, "block_n": 64, "block_k": 64}
    assembly = compiled(matmul._multiply, constants | blocks, PRODUCT, num_warps=4, num_stages=3)
    assert "wgmma.mma_async" in assembly
    assert "prmt.b32" in assembly
    assert "cvt.rn.f16.s" not in assembly


def test_the_product_of_few_rows_reads_its_weights_in_wide_accesses() -> None:
    from worker.engine.kernels.fused import fewrows

    constants = {"num_rows": 2, "num_inputs": 1024, "block_n": 8, "block_k": 1024, "is_gated": False}
    constants |= {"int8_max": 127, "has_assembly": True}
    assembly = compiled(fewrows._multiply_few, constants, PRODUCT, num_warps=4)
    assert "ld.global.v4" in assembly
    assert "prmt.b32" in assembly


ATTENTION = {
    "scale": "fp32",
    **dict.fromkeys(("q_ptr", "out_ptr"), "*fp16"),
    **dict.fromkeys(("rows_ptr", "lengths_ptr"), "*i64"),
    **dict.fromkeys(("parts_ptr", "sums_ptr"), "*fp32"),
    **{f"{name}_stride": "i32" for name in ("row", "head", "position")},
    **{f"scales_{name}_stride": "i32" for name in ("row", "head", "position")},
}
ATTENTION_SIZES = {"num_splits": 1, "block": 64, "blocks_in_flight": 1, "num_heads": 16, "head_size": 64, "block_d": 64}


def test_attention_reads_sixteen_bytes_at_once() -> None:
    from worker.engine.kernels.fused.floatattention import attend_floats

    types = ATTENTION | dict.fromkeys(("keys_ptr", "values_ptr"), "*fp16")
    assembly = compiled(attend_floats, ATTENTION_SIZES, types, num_warps=4)
    assert assembly.count("ld.global.v4.b32") >= 8


def test_attention_to_eight_bits_reads_sixteen_and_multiplies_four_at_once() -> None:
    from worker.engine.kernels.fused.roundedattention import attend_rounded

    types = ATTENTION | {"keys_ptr": "*i32", "values_ptr": "*i8", "scales_ptr": "*i32"}
    constants = ATTENTION_SIZES | {"int8_max": 127, "has_assembly": True}
    assembly = compiled(attend_rounded, constants, types, num_warps=4)
    assert assembly.count("ld.global.v4.b32") >= 4
    # Two halves of 64 positions of 16 words, for 128 threads.
    assert assembly.count("dp4a.s32.s32") == 2 * 8
    # The score is a whole number; no key and no value is converted by itself.
    assert assembly.count("cvt.rn.f32.s32") == 2
    assert "cvt.rn.f32.s8" not in assembly
    assert "cvt.rn.f32.s16" not in assembly


@pytest.mark.parametrize("form", ["rounded", "*fp16", "*bf16", "*fp32"])
def test_prefill_attention_uses_tensor_cores_where_they_are_exact(form: str) -> None:
    from worker.engine.kernels.fused import prefillattention

    is_rounded = form == "rounded"
    floats = "*fp16" if is_rounded else form
    constants = {"is_rounded": is_rounded, "int8_max": 127, "has_assembly": floats == "*fp16"}
    constants |= {"num_heads": 16, "head_size": 64, "block_m": 32, "block_n": 64, "block_d": 64}
    types = dict.fromkeys(("q_ptr", "out_ptr"), floats) | {"num_positions": "i32", "scale": "fp32"}
    types |= dict.fromkeys(("keys_ptr", "values_ptr"), "*i8" if is_rounded else floats)
    types |= dict.fromkeys(("rows_ptr", "positions_ptr"), "*i64") | {"scales_ptr": "*i32"}
    types |= {f"{name}_stride": "i32" for name in ("row", "head", "position")}
    types |= {f"scales_{name}_stride": "i32" for name in ("row", "head", "position")}
    assembly = compiled(prefillattention._attend_block, constants, types, num_warps=4, num_stages=2)
    assert ("mma" in assembly) == (form != "*fp32")
    assert "tf32" not in assembly


def test_a_weight_becomes_float_sixteen_numbers_at_once() -> None:
    from worker.engine.kernels.fused import floatweight

    constants = {"int8_max": 127, "has_assembly": True, "block": 1024}
    types = {"weight_ptr": "*i8", "absmax_ptr": "*fp32", "out_ptr": "*fp16", "num_inputs": "i32"}
    assembly = compiled(floatweight._to_float_weight, constants, types, num_warps=2)
    assert "ld.global.v4" in assembly
    assert "prmt.b32" in assembly


def test_the_rounding_of_keys_and_values_compiles() -> None:
    from worker.engine.kernels.fused import rotary

    constants = {"is_rounded": True, "int8_max": 127, "least_absmax": 2.0**-14, "num_heads": 16, "head_size": 64}
    constants |= {"heads": rotary.HEADS}
    types = dict.fromkeys(("qkv_ptr", "q_ptr", "absmax_ptr"), "*fp16") | dict.fromkeys(("cos_ptr", "sin_ptr"), "*fp32")
    types |= dict.fromkeys(("keys_ptr", "values_ptr"), "*i8") | dict.fromkeys(("rows_ptr", "positions_ptr"), "*i64")
    types |= {f"{name}_stride": "i32" for name in ("row", "head", "position")}
    types |= {f"absmax_{name}_stride": "i32" for name in ("row", "head", "position")}
    assembly = compiled(rotary._rope_and_store, constants, types, num_warps=1)
    assert "st.global.b8" not in assembly
