"""One or more Linear layers over the same input, as one weight: float, or the int8 that bitsandbytes made.

Knows nothing of how it is multiplied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch  # noqa: TID253 - imported with the engine that needs it

if TYPE_CHECKING:
    from torch import nn

#: What the largest weight of a row is rounded to (Dettmers et al. 2022, arXiv 2208.07339, section 2.1).
INT8_MAX: Final = 127


@dataclass(frozen=True, slots=True)
class PackedLinear:
    """The weight of `num_outputs` linear functions of `num_inputs` numbers, without a bias.

    Attributes:
        weight: [N, K], float32, bfloat16 or float16; or int8, as `CB` of bitsandbytes.
        absmax: None beside a float weight; beside an int8 weight [N] float32, the largest magnitude of each row, as
            `SCB` of bitsandbytes. The value of a weight is `weight * absmax / 127`.
    """

    weight: torch.Tensor
    absmax: torch.Tensor | None = None

    def __post_init__(self) -> None:
        assert self.weight.ndim == 2
        assert self.weight.is_contiguous()
        assert (self.weight.dtype == torch.int8) == (self.absmax is not None)
        if self.absmax is not None:
            assert self.absmax.shape == self.weight.shape[:1]
            assert self.absmax.dtype == torch.float32

    @property
    def num_outputs(self) -> int:
        """N."""
        return self.weight.shape[0]

    @property
    def num_inputs(self) -> int:
        """K."""
        return self.weight.shape[1]

    @classmethod
    def pack(cls, layers: Sequence[nn.Module]) -> PackedLinear:
        """Stack layers over the same input, the first one's outputs first; a single layer is shared, not copied.

        Args:
            layers: `nn.Linear` or `Linear8bitLt` of bitsandbytes, already rounded; all alike, without a bias.
        """
        assert all(layer.bias is None for layer in layers), "T3's Linear layers have no bias"
        weight = _stack([_weight(layer) for layer in layers])
        if weight.dtype != torch.int8:
            return cls(weight)
        return cls(weight, _stack([_row_absmax(layer) for layer in layers]))

    def dequantized(self) -> torch.Tensor:
        """Return the weight [N, K] in float32, or as it is if it is a float weight."""
        if self.absmax is None:
            return self.weight
        return self.weight.float() * (self.absmax / INT8_MAX).unsqueeze(1)


def _stack(tensors: list[torch.Tensor]) -> torch.Tensor:
    return tensors[0].contiguous() if len(tensors) == 1 else torch.cat(tensors)


def _weight(layer: Any) -> torch.Tensor:
    weight: torch.Tensor = layer.weight.data
    return weight


def _row_absmax(layer: Any) -> torch.Tensor:
    """Return the scale of each row; bitsandbytes moves it from the weight to the state of the layer at first use."""
    absmax: torch.Tensor = layer.weight.SCB if layer.weight.SCB is not None else layer.state.SCB
    return absmax.data
