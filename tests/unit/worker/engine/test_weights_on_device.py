"""What the renderer keeps on its device, counted: its own weights, and nothing of S3Gen that it does not use."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
import torch  # noqa: TID253

from worker.engine.capacity import RENDERER_WEIGHTS_BYTES
from worker.engine.s3gen.renderer import Renderer

#: The package's own imports warn, and S3Gen takes seconds to build.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import perth
        from chatterbox.models.s3gen import S3Gen

        return S3Gen().eval(), perth.PerthImplicitWatermarker()


def inside(thing: Any, seen: set[int]) -> Iterator[torch.Tensor]:
    """Yield the tensors that an object of ours holds, however deep; of what other packages make, modules only."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, torch.Tensor):
        yield thing
        return
    parts: list[Any] = []
    if isinstance(thing, torch.nn.Module):
        parts = [*thing.parameters(), *thing.buffers()]
    elif isinstance(thing, dict):
        parts = list(thing.values())
    elif isinstance(thing, (list, tuple)):
        parts = list(thing)
    elif is_dataclass(thing):
        parts = [getattr(thing, field.name) for field in fields(thing)]
    elif type(thing).__module__.startswith("worker."):
        parts = list(vars(thing).values())
    for part in parts:
        yield from inside(part, seen)


@pytest.mark.parametrize(("precision", "kind"), [("int8", "bf16"), ("fp32", "fp32")])
def test_the_renderer_takes_what_is_planned_for_it(parts: tuple[Any, Any], precision: Any, kind: Any) -> None:
    renderer = Renderer(*parts, device="cpu", precision=kind)
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage() for tensor in inside(renderer, set())}
    taken_bytes = sum(storage.nbytes() for storage in storages.values())
    planned_bytes = RENDERER_WEIGHTS_BYTES[precision]
    # The rest is what torch rounds up.
    assert 0.9 * planned_bytes <= taken_bytes <= planned_bytes - 4 * 2**20
    held = set(storages)
    s3gen, watermarker = parts
    for part in (s3gen.tokenizer, s3gen.speaker_encoder, watermarker.perth_net):
        assert not held & {parameter.untyped_storage()._cdata for parameter in part.parameters()}
