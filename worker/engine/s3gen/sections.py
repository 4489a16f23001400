"""The forms that a section of the estimator can run in: as it is written, compiled, or with our own kernels.

Only the section is compiled, not the estimator: fourteen sections differ in three widths, so there are three things to
compile instead of one that is fourteen times as large. torch keeps the result on disk. Knows nothing of what a section
computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch  # noqa: TID253 - the renderer is loaded where the GPU is

from worker.engine.s3gen.estimator import Attention, Layout, RunSection, run_section
from worker.engine.s3gen.weights import Section


def plain() -> RunSection:
    """Return the section as it is written: one kernel for each operation."""
    return run_section


def compiled() -> RunSection:
    """Return the section compiled for any number of rows; compiling happens at the first calls."""
    # dynamic=False keeps widths constant, which torch would otherwise make variable when it meets the second one.
    compiled_section = torch.compile(run_section, dynamic=False, fullgraph=True)

    def run(
        rows: torch.Tensor,
        layout: Layout,
        shift: torch.Tensor,
        section: Section,
        attend: Attention,
        num_heads: int,
    ) -> torch.Tensor:
        for tensor in (rows, layout.mask, layout.table):
            torch._dynamo.maybe_mark_dynamic(tensor, 0)
        result: torch.Tensor = compiled_section(rows, layout, shift, section, attend, num_heads)
        return result

    return run


def fused() -> RunSection:
    """Return the section with kernels of our own: CUDA, half precision."""
    from worker.engine.s3gen.fusedsection import run_fused_section

    return run_fused_section


FORMS: Final[Mapping[str, Callable[[], RunSection]]] = {"plain": plain, "compiled": compiled, "fused": fused}
