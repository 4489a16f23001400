"""Convolutions on rows of positions, [P, C]: channels lie side by side, which is what tensor cores read.

Knows nothing of vocoders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch  # noqa: TID253 - the vocoder is loaded where the GPU is


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution that keeps the number of positions, or multiplies it.

    Attributes:
        weight: [C_out, C_in, 1, taps], channels last: cuDNN's fast paths are those for images.
        bias: [C_out] float32; not added by `convolve`.
        dilation: positions between taps.
        factor: positions that come out for each that goes in; their channels lie side by side in C_out.
        by_tap: [taps, C_out, C_in], the weight once more, for the kernel that also finishes; None where cuDNN is used.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    dilation: int = 1
    factor: int = 1
    by_tap: torch.Tensor | None = None


def read_convolution(module: Any, device: torch.device, dtype: torch.dtype, *, is_fused: bool = False) -> Convolution:
    """Return a `Conv1d` that pads itself to an equal length; a weight norm is folded, the module stays as it is."""
    taps, dilation = module.kernel_size[0], module.dilation[0]
    assert module.stride == (1,)
    assert 2 * module.padding[0] == dilation * (taps - 1)
    weight = module.weight.detach()
    by_tap = weight.permute(2, 0, 1).to(device=device, dtype=dtype).contiguous() if is_fused else None
    return Convolution(_placed(weight, device, dtype), module.bias.detach().float().to(device), dilation, by_tap=by_tap)


def read_upsampling(module: Any, device: torch.device, dtype: torch.dtype) -> Convolution:
    """Return a `ConvTranspose1d` as a plain convolution of three taps that makes `stride` positions of each.

    Position `stride * q + r` of the result is the sum over i of `weight[:, :, stride * (q - i) + r + padding]` times
    input i, and with such a short kernel only q - 1, q and q + 1 take part: three taps, zeros where one falls outside.
    """
    stride, padding, taps = module.stride[0], module.padding[0], module.kernel_size[0]
    assert module.output_padding == (0,)
    assert padding == (taps - stride) // 2 <= (stride + 1) // 2
    source = module.weight.detach()  # [C_in, C_out, taps]
    weight = source.new_zeros(stride, source.shape[1], source.shape[0], 3)
    for phase in range(stride):
        for tap, ahead in enumerate((-1, 0, 1)):  # input q + ahead
            index = phase + padding - stride * ahead
            if 0 <= index < taps:
                weight[phase, :, :, tap] = source[:, :, index].T
    bias = module.bias.detach().float().to(device)
    return Convolution(_placed(weight.flatten(0, 1), device, dtype), bias, factor=stride)


def _placed(weight: torch.Tensor, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    image: torch.Tensor = weight.detach().to(device=device, dtype=dtype)[:, :, None]
    return image.contiguous(memory_format=torch.channels_last)


def convolve(convolution: Convolution, rows: torch.Tensor) -> torch.Tensor:
    """Return [P * factor, C] of rows [P, C_in], without the bias: whatever follows adds it in the same pass."""
    image = rows[None, None].permute(0, 3, 1, 2)  # [1, C_in, 1, P], channels last
    padding = convolution.dilation * (convolution.weight.shape[3] // 2)
    convolved = torch.nn.functional.conv2d(
        image, convolution.weight, padding=(0, padding), dilation=(1, convolution.dilation)
    )
    return convolved.permute(0, 2, 3, 1).reshape(convolution.factor * rows.shape[0], -1)
