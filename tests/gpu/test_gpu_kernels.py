"""The Triton kernels on a real GPU, at T3's shapes: against the torch references, and int8 against bitsandbytes."""

from __future__ import annotations

from typing import Any

import pytest
import torch  # noqa: TID253 - the tests compare with torch

from worker.engine import kernels
from worker.engine.kernels import KVLayer, PackedLinear, reference

pytestmark = pytest.mark.gpu

HEADS, HEAD_SIZE, HIDDEN, MLP, VOCABULARY = 16, 64, 1024, 4096, 8194
SHAPES = [(3 * HIDDEN, HIDDEN), (HIDDEN, HIDDEN), (2 * MLP, HIDDEN), (HIDDEN, MLP), (VOCABULARY, HIDDEN)]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
#: One unit in the last place of what was rounded once more or less, and sums in another order.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2**-6, torch.float16: 2**-9}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def random(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, device="cuda").to(dtype)


def assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    tolerance = TOLERANCE[expected.dtype]
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def relative_error(actual: torch.Tensor, exact: torch.Tensor) -> float:
    return ((actual.float() - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_rows", [1, 2, 257])
def test_row_operations_equal_their_references(num_rows: int, dtype: torch.dtype) -> None:
    x, residual = random(num_rows, HIDDEN, dtype=dtype), random(num_rows, HIDDEN, dtype=dtype)
    weight, gate_up = random(HIDDEN, dtype=dtype), random(num_rows, 2 * MLP, dtype=dtype)
    assert_close(kernels.rms_norm(x, weight, 1e-5), reference.rms_norm(x, weight, 1e-5))
    normed, total = kernels.add_rms_norm(x, residual, weight, 1e-5)
    expected_normed, expected_total = reference.add_rms_norm(x, residual, weight, 1e-5)
    assert torch.equal(total, expected_total)
    assert_close(normed, expected_normed)
    assert_close(kernels.silu_mul(gate_up), reference.silu_mul(gate_up))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_rows", [1, 64, 256])
def test_rotation_and_attention_equal_their_references(num_rows: int, dtype: torch.dtype) -> None:
    num_positions = 1100
    qkv = random(num_rows, 3 * HIDDEN, dtype=dtype)
    angles = random(num_positions, HEAD_SIZE // 2).repeat(1, 2)
    cos, sin = angles.cos(), angles.sin()
    rows = torch.randperm(num_rows + 3, device="cuda")[:num_rows]
    lengths = torch.randint(1, num_positions + 1, (num_rows,), device="cuda")
    lengths[0] = num_positions
    lengths[-1] = 1
    caches = random(2, num_rows + 3, HEADS, num_positions, HEAD_SIZE, dtype=dtype)
    is_unread = torch.arange(num_positions, device="cuda") >= (lengths - 1).view(-1, 1)
    for cache in caches:
        cache[rows] = cache[rows].masked_fill(is_unread[:, None, :, None], torch.nan)
    expected_caches = caches.clone()
    arguments = (qkv, cos, sin, rows, lengths - 1)
    q = kernels.rope_and_store(*arguments, KVLayer(*caches))
    assert_close(q, reference.rope_and_store(*arguments, KVLayer(*expected_caches)))
    assert torch.equal(caches.isnan(), expected_caches.isnan())
    assert_close(caches.nan_to_num(), expected_caches.nan_to_num())
    attended = kernels.decode_attention(q, KVLayer(*caches), rows, lengths)
    # In smaller groups: the reference makes float32 copies of what it reads.
    for part in torch.arange(num_rows, device="cuda").split(32):
        expected = reference.decode_attention(q[part], KVLayer(*caches), rows[part], lengths[part])
        assert_close(attended[part], expected)


@pytest.mark.parametrize("num_rows", [1, 64, 256])
def test_keys_and_values_of_eight_bits_equal_their_references(num_rows: int) -> None:
    num_positions = 1100
    qkv = random(num_rows, 3 * HIDDEN, dtype=torch.float16)
    qkv[0, HIDDEN + 3], qkv[-1, 2 * HIDDEN + 70] = torch.nan, torch.inf
    angles = random(num_positions, HEAD_SIZE // 2).repeat(1, 2)
    rows = torch.randperm(num_rows + 3, device="cuda")[:num_rows]
    lengths = torch.randint(1, num_positions + 1, (num_rows,), device="cuda")
    lengths[0] = num_positions
    values = torch.randint(-127, 128, (2, num_rows + 3, HEADS, num_positions, HEAD_SIZE), device="cuda").to(torch.int8)
    absmax = torch.rand(num_rows + 3, HEADS, num_positions, 2, device="cuda").half() + 0.1
    is_unread = torch.arange(num_positions, device="cuda") >= (lengths - 1).view(-1, 1)
    absmax[rows] = absmax[rows].masked_fill(is_unread[:, None, :, None], torch.nan)
    layer, expected = KVLayer(*values, absmax), KVLayer(*values.clone(), absmax.clone())
    arguments = (qkv, angles.cos(), angles.sin(), rows, lengths - 1)
    q = kernels.rope_and_store(*arguments, layer)
    assert_close(q, reference.rope_and_store(*arguments, expected))
    torch.testing.assert_close(layer.absmax, expected.absmax, rtol=2**-10, atol=0, equal_nan=True)
    # A number between two may go either way.
    is_finite = expected.absmax.isfinite()
    for index, (ours, theirs) in enumerate(((layer.keys, expected.keys), (layer.values, expected.values))):
        assert (ours.int() - theirs.int())[is_finite[..., index]].abs().max() <= 1
    attended = kernels.decode_attention(q, layer, rows, lengths)
    for part in torch.arange(num_rows, device="cuda").split(32):
        wanted = reference.decode_attention(q[part], layer, rows[part], lengths[part])
        is_number = wanted.isfinite()
        assert_close(attended[part][is_number], wanted[is_number])
        assert torch.equal(attended[part].isfinite(), is_number)
    assert not attended[0, 0].isfinite().any()
    assert attended[1 : num_rows - 1].isfinite().all()


@pytest.mark.parametrize("form", [*DTYPES, torch.int8], ids=str)
def test_prefill_attention_equals_its_reference(form: torch.dtype) -> None:
    """Texts of 200, 33 and 1 position behind 34 of a voice, and one at the end of its row."""
    from bench.kernels.search import random_layers

    is_rounded, num_positions = form == torch.int8, 640
    dtype = torch.float16 if is_rounded else form
    (layer,) = random_layers(1, 5, num_positions, is_rounded=is_rounded, dtype=dtype)
    texts = ((0, 34, 224), (2, 34, 64), (3, 34, 32), (4, 630, 32))
    rows = torch.cat([torch.full((width,), row, device="cuda") for row, _, width in texts])
    positions = torch.cat([torch.arange(first, first + width, device="cuda") for _, first, width in texts])
    # Nobody has written the row between, or what lies behind a text.
    scales = layer.keys if layer.absmax is None else layer.absmax
    scales[1], scales[2, :, 98:], scales[3, :, 66:] = torch.nan, torch.nan, torch.nan
    q = random(rows.shape[0], HEADS, HEAD_SIZE, dtype=dtype)
    clamped = positions.clamp(max=num_positions - 1)
    is_text = positions < num_positions
    actual = kernels.prefill_attention(q, layer, rows, clamped)[is_text]
    assert_close(actual, reference.prefill_attention(q, layer, rows, clamped)[is_text])


@pytest.mark.parametrize("num_splits", [1, 4, 32])
def test_attention_does_not_depend_on_the_splits(num_splits: int) -> None:
    from worker.engine.kernels.fused import attention

    q, caches = random(3, HEADS, HEAD_SIZE), random(2, 3, HEADS, 300, HEAD_SIZE)
    rows, lengths = torch.tensor([2, 0, 1], device="cuda"), torch.tensor([1, 300, 129], device="cuda")
    actual = attention.decode_attention(q, KVLayer(*caches), rows, lengths, attention.Plan(num_splits))
    assert_close(actual, reference.decode_attention(q, KVLayer(*caches), rows, lengths))


def test_every_plan_attends_to_eight_bits_alike() -> None:
    from bench.kernels.search import plans, random_layers
    from worker.engine.kernels.fused import attention

    q = random(40, HEADS, HEAD_SIZE, dtype=torch.float16)
    (layer,) = random_layers(1, 40, 300, is_rounded=True)
    rows, lengths = torch.arange(40, device="cuda").flip(0), torch.arange(40, device="cuda") * 7 + 1
    expected = reference.decode_attention(q, layer, rows, lengths)
    # Each way of cutting, but one number of splits: every one is a compilation.
    tried = [plan for plan in plans(40 * HEADS, is_rounded=True) if plan.num_splits == 2]
    assert len(tried) > 10
    for plan in tried:
        assert_close(attention.decode_attention(q, layer, rows, lengths, plan), expected)


def int8_layer(num_outputs: int, num_inputs: int) -> PackedLinear:
    weight = torch.randint(-127, 128, (num_outputs, num_inputs), device="cuda", dtype=torch.int8)
    return PackedLinear(weight, torch.rand(num_outputs, device="cuda") + 0.5)


@pytest.mark.parametrize("num_rows", [2, 8, 1024])
def test_int8_becomes_float_exactly(num_rows: int) -> None:
    """All 256 values, by multiplying rows of the identity."""
    weight = torch.arange(-128, 128, device="cuda").to(torch.int8).repeat(64, 4)
    packed = PackedLinear(weight, torch.full((64,), 127.0, device="cuda"))
    for start in range(0, 1024, num_rows):
        x = torch.eye(1024, device="cuda", dtype=torch.float16)[start : start + num_rows]
        assert torch.equal(kernels.linear(x, packed), weight.T[start : start + num_rows].half())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_int8_products_of_any_height_are_exact_but_for_the_last_rounding(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    packed = int8_layer(*shape)
    weight = packed.dequantized().double()
    limit = {torch.float32: 2e-6, torch.bfloat16: 2**-8, torch.float16: 2**-11}[dtype]
    for num_rows in (1, 2, 5, 8, 9, 16, 31, 64, 100, 256, 512, 700):
        x = random(num_rows, shape[1], dtype=dtype) / shape[1] ** 0.5
        actual = kernels.linear(x, packed)
        exact = (x.double() @ weight.T).float()
        assert relative_error(actual, exact) < limit, num_rows
        assert torch.equal(actual, kernels.linear(x, packed)), num_rows


def test_int8_becomes_a_float_weight_as_by_the_reference() -> None:
    from worker.engine.kernels.fused.floatweight import float_weight

    packed = int8_layer(MLP, HIDDEN)
    for dtype in DTYPES:
        assert_close(float_weight(packed.weight, packed.absmax, dtype), packed.dequantized().to(dtype))


@pytest.mark.parametrize("num_rows", [2, 16, 256])
def test_a_product_and_the_sum_and_norm_behind_it_are_one(num_rows: int) -> None:
    packed = int8_layer(HIDDEN, MLP)
    x, residual = random(num_rows, MLP).half() / 64, random(num_rows, HIDDEN).half()
    weight = random(HIDDEN).half()
    normed, total = kernels.linear_add_rms_norm(x, packed, residual, weight, 1e-5)
    expected_normed, expected_total = kernels.add_rms_norm(kernels.linear(x, packed), residual, weight, 1e-5)
    assert_close(total, expected_total)
    assert_close(normed, expected_normed)


@pytest.mark.parametrize("num_rows", [1, 2, 8, 16, 33, 100, 256, 700])
def test_a_gated_product_is_gated_as_by_a_kernel_of_its_own(num_rows: int) -> None:
    packed = int8_layer(2 * MLP, HIDDEN)
    x = random(num_rows, HIDDEN).half() / 64
    assert_close(kernels.linear_silu_mul(x, packed), kernels.silu_mul(kernels.linear(x, packed)))


def test_the_product_is_nearer_to_the_unquantised_layer_than_that_of_bitsandbytes(figures: dict[str, Any]) -> None:
    from worker.models.quantization import quantize_t3

    for num_outputs, num_inputs in SHAPES:
        layers = torch.nn.ModuleList([torch.nn.Linear(num_inputs, num_outputs, bias=False)])
        weight = layers[0].weight.detach().cuda()
        quantize_t3(layers, "cuda")
        x = random(64, num_inputs).half()
        exact = x.float() @ weight.T
        ours = relative_error(kernels.linear(x, PackedLinear.pack(list(layers))), exact)
        theirs = relative_error(layers[0](x), exact)
        figures[f"{num_outputs}x{num_inputs}"] = {"relative_error": ours, "relative_error_of_bitsandbytes": theirs}
        assert ours < 0.75 * theirs


def test_a_captured_step_follows_its_inputs() -> None:
    num_rows, num_positions = 6, 200
    packed, output = int8_layer(3 * HIDDEN, HIDDEN), int8_layer(HIDDEN, HIDDEN)
    norm = torch.full((HIDDEN,), 0.01, device="cuda", dtype=torch.float16)
    hidden, table = random(num_rows, HIDDEN).half(), random(num_positions, HEAD_SIZE)
    caches = random(2, num_rows, HEADS, num_positions, HEAD_SIZE, dtype=torch.float16)
    rows, positions = torch.arange(num_rows, device="cuda"), torch.zeros(num_rows, device="cuda", dtype=torch.int64)

    def step() -> torch.Tensor:
        out, lengths = hidden, positions + 1
        for _ in range(5):
            q = kernels.rope_and_store(kernels.linear(out, packed), table, table, rows, positions, KVLayer(*caches))
            attended = kernels.decode_attention(q, KVLayer(*caches), rows, lengths).flatten(1)
            out, _ = kernels.linear_add_rms_norm(attended, output, out, norm, 1e-5)
        return out

    step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    for position in (3, 199, 64):
        hidden.copy_(random(num_rows, HIDDEN).half())
        positions.fill_(position)
        rows.copy_(rows.roll(1))
        graph.replay()
        actual = captured.clone()
        assert torch.equal(actual, step())
