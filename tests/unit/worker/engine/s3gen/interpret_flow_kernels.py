"""Runs the flow's Triton kernels in Triton's interpreter and prints how far each is from torch, as JSON.

A program of its own, because Triton decides when it is imported whether it interprets.
"""

from __future__ import annotations

import json
import os
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"

import torch  # noqa: TID253
from triton.runtime import interpreter

from worker.engine.s3gen import attention
from worker.engine.s3gen.estimator import Layout, run_section
from worker.engine.s3gen.sections import fused
from worker.engine.s3gen.weights import Affine, CausalBlock, Resnet, Section, Transformer

#: Sequences that end within a tile, at its end, in the next one, and one of a single row.
BOUNDS = ((2, 140), (142, 270), (272, 301), (303, 304))
NUM_ROWS = 330
NUM_HEADS, WIDTH = 8, 256


def mend_interpreter() -> None:
    """Let a loop run to a computed bound: Triton 3.6 makes an int of a one-element array, which numpy 2.4 refuses."""
    patch = interpreter._patch_lang_tensor

    def patch_and_mend(tensor: Any, scope: Any) -> None:
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    interpreter._patch_lang_tensor = patch_and_mend


def small(*shape: int) -> torch.Tensor:
    return 0.06 * torch.randn(*shape)


def affine(num_out: int, num_in: int) -> Affine:
    return Affine(small(num_out, num_in), small(num_out))


def norm() -> Affine:
    return Affine(1 + small(WIDTH), small(WIDTH))


def section(num_in: int) -> Section:
    transformer = Transformer(
        norm(), small(3 * 512, WIDTH), affine(WIDTH, 512), norm(), affine(4 * WIDTH, WIDTH), affine(WIDTH, 4 * WIDTH)
    )
    blocks = (CausalBlock(affine(WIDTH, 3 * size), norm()) for size in (num_in, WIDTH))
    return Section(Resnet(*blocks, affine(WIDTH, num_in)), (transformer,))


def main() -> None:
    torch.manual_seed(1)
    torch.set_num_threads(1)
    mend_interpreter()
    mask = torch.zeros(NUM_ROWS, 1, dtype=torch.bool)
    for start, end in BOUNDS:
        mask[start:end] = True
    exact, tiled = attention.one_by_one(), attention.tiled()
    layouts = [Layout(mask, form.table(BOUNDS, NUM_ROWS)) for form in (exact, tiled)]
    real = mask[:, 0]
    errors = {}

    joined = torch.randn(NUM_ROWS, 3, 2, 64)
    # What lies between sequences is read by no one.
    joined[~real] = float("nan")
    wanted, found = (form.attend(joined, layout.table) for form, layout in zip((exact, tiled), layouts, strict=True))
    errors["attention"] = (found - wanted)[real].abs().max().item()
    # The first convolution takes 320 numbers of a row, the second one 256.
    weights, rows, shift = section(320), torch.randn(NUM_ROWS, 320), small(WIDTH)
    rows[~real] = float("nan")
    wanted = run_section(rows, layouts[0], shift, weights, exact.attend, NUM_HEADS)
    found = fused()(rows, layouts[1], shift, weights, tiled.attend, NUM_HEADS)
    errors["section"] = (found - wanted)[real].abs().max().item()
    print(json.dumps(errors))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
