"""The Triton kernels, in Triton's interpreter, compute what the plain torch references do.

Small shapes with odd edges. The tensor cores, and the conversion of int8 in assembly, are for tests/gpu.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch  # noqa: TID253 - the tests compare with torch

from worker.engine.kernels import KVLayer, PackedLinear, reference
from worker.engine.kernels.kvlayer import round_to_int8

DTYPES = [torch.float32, torch.float16, torch.bfloat16]
#: Sums in another order; and bfloat16, which the interpreter cuts off where a GPU rounds.
TOLERANCE = {torch.float32: 2e-6, torch.float16: 2**-8, torch.bfloat16: 2**-5}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def random(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape).to(dtype)


def assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    assert actual.dtype == expected.dtype
    tolerance = TOLERANCE[expected.dtype]
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 16), (3, 40)])
def test_rms_norm_equals_the_reference(interpreted: Any, shape: tuple[int, int], dtype: torch.dtype) -> None:
    x, weight = random(*shape, dtype=dtype), random(shape[1], dtype=dtype)
    actual, _ = interpreted("norm", "rms_norm", x, weight, 1e-5)
    assert_close(actual, reference.rms_norm(x, weight, 1e-5))


@pytest.mark.parametrize("dtype", DTYPES)
def test_add_rms_norm_returns_the_sum_too_and_leaves_the_stream(interpreted: Any, dtype: torch.dtype) -> None:
    x, residual, weight = random(3, 40, dtype=dtype), random(3, 40, dtype=dtype), random(40, dtype=dtype)
    (normed, total), after = interpreted("norm", "add_rms_norm", x, residual, weight, 1e-5)
    expected_normed, expected_total = reference.add_rms_norm(x, residual, weight, 1e-5)
    assert_close(normed, expected_normed)
    assert_close(total, expected_total)
    assert torch.equal(after[1], residual)


def test_add_rms_norm_adds_up_the_splits_of_a_product(interpreted: Any) -> None:
    parts, residual, weight = random(3, 2, 40), random(2, 40).half(), random(40).half()
    (normed, total), _ = interpreted("norm", "add_rms_norm", parts, residual, weight, 1e-5)
    expected_normed, expected_total = reference.add_rms_norm(parts.sum(0).half(), residual, weight, 1e-5)
    assert_close(total, expected_total)
    assert_close(normed, expected_normed)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [24, 1030])
def test_silu_mul_equals_the_reference(interpreted: Any, width: int, dtype: torch.dtype) -> None:
    gate_up = random(2, 2 * width, dtype=dtype)
    actual, _ = interpreted("activation", "silu_mul", gate_up)
    assert_close(actual, reference.silu_mul(gate_up))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("index_dtype", [torch.int32, torch.int64])
def test_rope_and_store_writes_one_position_of_each_entry(
    interpreted: Any, index_dtype: torch.dtype, dtype: torch.dtype
) -> None:
    num_entries, num_heads, head_size, num_rows, num_positions = 3, 6, 8, 5, 7
    qkv = random(num_entries, 3 * num_heads * head_size, dtype=dtype)
    angles = random(9, head_size // 2).repeat(1, 2)
    rows = torch.tensor([4, 0, 2], dtype=index_dtype)
    positions = torch.tensor([0, 6, 3], dtype=index_dtype)
    # As one layer of the cache of all: its rows lie apart.
    cache = torch.full((num_rows, 2, num_heads, num_positions, head_size), torch.nan, dtype=dtype)
    caches = cache.unbind(1)
    arguments = (qkv, angles.cos(), angles.sin(), rows, positions)
    actual, after = interpreted("rotary", "rope_and_store", *arguments, KVLayer(*caches))
    expected = reference.rope_and_store(*arguments, KVLayer(*caches))
    assert_close(actual, expected)
    for written, wanted in zip((after[-1].keys, after[-1].values), caches, strict=True):
        assert torch.equal(written.isnan(), wanted.isnan())
        assert_close(written.nan_to_num(), wanted.nan_to_num())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lengths", [[1, 150, 64, 65], [150], [1]])
def test_decode_attention_reads_what_is_there_and_no_more(
    interpreted: Any, lengths: list[int], dtype: torch.dtype
) -> None:
    num_heads, head_size, num_positions = 2, 16, 150
    q = random(len(lengths), num_heads, head_size, dtype=dtype)
    caches = random(6, 2, num_heads, num_positions, head_size, dtype=dtype)
    rows = torch.arange(5, 5 - len(lengths), -1)
    for row, length in zip(rows, lengths, strict=True):
        caches[row, :, :, length:] = torch.nan
    arguments = (q, KVLayer(*caches.unbind(1)), rows, torch.tensor(lengths))
    actual, _ = interpreted("attention", "decode_attention", *arguments)
    assert_close(actual, reference.decode_attention(*arguments))


def rounded_layer(num_rows: int, num_heads: int, num_positions: int, head_size: int) -> KVLayer:
    """Return random numbers of eight bits, as one layer of the cache of all: its rows lie apart."""
    values = torch.randint(-127, 128, (num_rows, 2, num_heads, num_positions, head_size), dtype=torch.int8)
    absmax = torch.rand(num_rows, 2, num_heads, num_positions, 2).half() * 4 + 0.1
    return KVLayer(*values.unbind(1), absmax[:, 1])


def test_rounded_keys_and_values_are_those_of_the_reference_and_the_queries_are_not_rounded(interpreted: Any) -> None:
    num_entries, num_heads, head_size, num_rows, num_positions = 3, 6, 16, 5, 7
    qkv = random(num_entries, 3 * num_heads * head_size, dtype=torch.float16)
    # One head of zeros, a key and a value that are no numbers, and one too large for a scale in half precision.
    qkv[1, :head_size], qkv[1, num_heads * head_size : (num_heads + 1) * head_size] = 0.0, 0.0
    qkv[2, 7 * head_size + 3], qkv[2, 14 * head_size + 5], qkv[0, 15 * head_size] = torch.nan, torch.nan, torch.inf
    angles = random(9, head_size // 2).repeat(1, 2)
    rows, positions = torch.tensor([4, 0, 2]), torch.tensor([0, 6, 3])
    layer = rounded_layer(num_rows, num_heads, num_positions, head_size)
    arguments = (qkv, angles.cos(), angles.sin(), rows, positions)
    actual, after = interpreted("rotary", "rope_and_store", *arguments, layer)
    expected = reference.rope_and_store(*arguments, layer)
    assert_close(actual, expected)
    written = after[-1]
    torch.testing.assert_close(written.absmax, layer.absmax, rtol=2**-10, atol=0)
    is_finite = layer.absmax.isfinite()
    assert (~is_finite).nonzero().tolist() == [[2, 1, 3, 0], [2, 2, 3, 1], [4, 3, 0, 1]]
    for index, (ours, theirs) in enumerate(((written.keys, layer.keys), (written.values, layer.values))):
        # A number between two may go either way.
        difference = (ours.int() - theirs.int()).abs()[is_finite[..., index]]
        assert difference.max() <= 1
        assert difference.float().mean() < 0.01


@pytest.mark.parametrize("lengths", [[1, 150, 64, 65], [150], [1]])
def test_attention_to_rounded_numbers_reads_what_is_there_and_no_more(interpreted: Any, lengths: list[int]) -> None:
    q, layer = random(len(lengths), 2, 16), rounded_layer(6, 2, 150, 16)
    rows = torch.arange(5, 5 - len(lengths), -1)
    for row, length in zip(rows, lengths, strict=True):
        layer.absmax[row, :, length:] = torch.nan
    arguments = (q, layer, rows, torch.tensor(lengths))
    actual, _ = interpreted("attention", "decode_attention", *arguments)
    # The query has sixteen bits, and sums with a bias lose some.
    torch.testing.assert_close(actual, reference.decode_attention(*arguments), rtol=2e-4, atol=2e-4)


def test_attention_to_a_scale_that_is_not_finite_is_not_finite(interpreted: Any) -> None:
    """So that logits that are no numbers are noticed in eight bits too, and in their row alone."""
    q, layer = random(2, 2, 16, dtype=torch.float16), rounded_layer(2, 2, 40, 16)
    vectors = random(2, 16)
    vectors[0, 3] = torch.nan
    layer.values[1, 0, 7], layer.absmax[1, 0, 7, 1] = round_to_int8(vectors)[0][0], round_to_int8(vectors)[1][0]
    actual, _ = interpreted("attention", "decode_attention", q, layer, torch.tensor([1, 0]), torch.tensor([40, 40]))
    assert not actual[0, 0].isfinite().any()
    assert actual[0, 1].isfinite().all()
    assert actual[1].isfinite().all()


@pytest.mark.parametrize("form", ["float32", "float16", "rounded"])
def test_prefill_attention_sees_each_position_and_those_before_it(interpreted: Any, form: str) -> None:
    """Three blocks: the end of one row, its padding past the row's last position, and the beginning of another."""
    dtype = torch.float32 if form == "float32" else torch.float16
    num_positions = 100
    layer = rounded_layer(4, 2, num_positions, 16)
    if form != "rounded":
        layer = KVLayer(*random(2, 4, 2, num_positions, 16, dtype=dtype))
    scales = layer.keys if layer.absmax is None else layer.absmax
    # Nobody has written what lies behind the blocks, or the other rows.
    scales[0, :, 32:], scales[2], scales[3] = torch.nan, torch.nan, torch.nan
    q = random(96, 2, 16, dtype=dtype)
    rows, positions = (
        torch.tensor([1, 1, 0]).repeat_interleave(32),
        torch.cat([torch.arange(53, 117), torch.arange(32)]),
    )
    arguments = (q, layer, rows, positions.clamp(max=num_positions - 1))
    actual, _ = interpreted("prefillattention", "prefill_attention", *arguments)
    is_text = positions < num_positions
    assert_close(actual[is_text], reference.prefill_attention(*arguments)[is_text])
    # As the decode steps would: each entry to its row up to itself.
    alone = reference.decode_attention(q[is_text], layer, rows[is_text], positions[is_text] + 1)
    assert_close(actual[is_text], alone)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("shape", [(3, 40), (2, 1030)])
def test_a_weight_becomes_float_in_one_pass(interpreted: Any, shape: tuple[int, int], dtype: torch.dtype) -> None:
    packed = int8_layer(*shape)
    actual, _ = interpreted("floatweight", "float_weight", packed.weight, packed.absmax, dtype)
    assert_close(actual, packed.dequantized().to(dtype))


def test_a_query_that_is_not_finite_does_not_touch_its_neighbours(interpreted: Any) -> None:
    q, caches = random(2, 2, 16), random(2, 2, 2, 9, 16)
    rows, lengths = torch.tensor([0, 1]), torch.tensor([9, 9])
    layer = KVLayer(*caches.unbind(1))
    expected, _ = interpreted("attention", "decode_attention", q, layer, rows, lengths)
    q[1] = torch.nan
    actual, _ = interpreted("attention", "decode_attention", q, layer, rows, lengths)
    assert torch.equal(actual[0], expected[0])
    assert actual[1].isnan().all()


def test_the_number_of_splits_follows_from_the_shapes(interpreted: Any) -> None:
    plans = {num_rows: interpreted("attention", "plan_for", num_rows * 16, 1200)[0] for num_rows in (1, 2, 16, 256)}
    assert {num_rows: plan.num_splits for num_rows, plan in plans.items()} == {1: 16, 2: 16, 16: 4, 256: 1}


def int8_layer(num_outputs: int, num_inputs: int) -> PackedLinear:
    weight = torch.randint(-127, 128, (num_outputs, num_inputs), dtype=torch.int8)
    return PackedLinear(weight, torch.rand(num_outputs) + 0.5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_rows", [1, 3, 9, 33])
@pytest.mark.parametrize(("num_outputs", "num_inputs"), [(70, 64), (33, 192), (24, 40)])
def test_int8_linear_equals_the_reference(
    interpreted: Any, num_outputs: int, num_inputs: int, num_rows: int, dtype: torch.dtype
) -> None:
    if dtype == torch.bfloat16 and num_rows > 8:
        pytest.skip("the interpreter multiplies the bits of bfloat16 matrices")
    packed = int8_layer(num_outputs, num_inputs)
    x = random(num_rows, num_inputs, dtype=dtype) / num_inputs**0.5
    actual, _ = interpreted("matmul", "linear", x, packed.weight, packed.absmax)
    assert_close(actual, reference.linear(x, packed))


@pytest.mark.parametrize("num_splits", [2, 3, 4])
def test_splits_of_the_inputs_add_up_to_the_whole(interpreted: Any, num_splits: int) -> None:
    packed = int8_layer(20, 128)
    x = random(5, 128).half() / 11
    tile, _ = interpreted("tiles", "Tile", 16, 16, 32, num_splits)
    parts, _ = interpreted("matmul", "partial_linear", x, packed.weight, packed.absmax, tile)
    assert parts.shape == ({2: 2, 3: 2, 4: 4}[num_splits], 5, 20)
    actual, _ = interpreted("matmul", "linear", x, packed.weight, packed.absmax, tile)
    assert_close(actual, reference.linear(x, packed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("num_rows", [1, 3, 9, 33])
@pytest.mark.parametrize(("num_gates", "num_inputs"), [(35, 64), (24, 40)])
def test_a_gated_product_is_gated_as_by_a_kernel_of_its_own(
    interpreted: Any, num_gates: int, num_inputs: int, num_rows: int, dtype: torch.dtype
) -> None:
    packed = int8_layer(2 * num_gates, num_inputs)
    x = random(num_rows, num_inputs, dtype=dtype) / num_inputs**0.5
    actual, _ = interpreted("matmul", "linear_silu_mul", x, packed.weight, packed.absmax)
    assert_close(actual, reference.silu_mul(reference.linear(x, packed)))


def test_every_shape_of_t3_has_a_tile_for_any_number_of_rows() -> None:
    from worker.engine.kernels.fused.tiles import TILES, tile_for

    for num_outputs, num_inputs in TILES:
        for num_rows in (1, 8, 9, 64, 65, 512, 2000):
            tile = tile_for(num_rows, num_outputs, num_inputs)
            assert num_inputs % (tile.block_k * tile.num_splits) == 0
            assert tile.block_m == 0 or tile.block_m & (tile.block_m - 1) == 0
