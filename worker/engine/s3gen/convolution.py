"""Convolutions on rows of positions, [P, C]: channels lie side by side, which is what tensor cores read.

Knows nothing of vocoders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch  # noqa: TID253 - the vocoder is loaded where the GPU is


@dataclass(frozen=True, slots=True)
class Form:
    """In which form convolutions are run.

    Attributes:
        device: where.
        dtype: of what goes in and comes out.
        is_tf32: whether the tensor cores multiply float32 in TF32. They cut off the bits that it lacks; rounding the
            weights and what goes in before makes the error of the samples a third.
    """

    device: torch.device
    dtype: torch.dtype = torch.float32
    is_tf32: bool = False


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution that keeps the number of positions, or multiplies it.

    Attributes:
        weight: [C_out, C_in, 1, taps], channels last: cuDNN's fast paths are those for images.
        bias: [C_out] float32; not added by `convolve`.
        dilation: positions between taps.
        factor: positions that come out for each that goes in; their channels lie side by side in C_out.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    dilation: int = 1
    factor: int = 1


def read_convolution(module: Any, form: Form) -> Convolution:
    """Return a `Conv1d` that pads itself to an equal length; a weight norm is folded, the module stays as it is."""
    taps, dilation = module.kernel_size[0], module.dilation[0]
    assert module.stride == (1,)
    assert 2 * module.padding[0] == dilation * (taps - 1)
    return Convolution(_placed(module.weight, form), _bias(module, form), dilation)


def read_upsampling(module: Any, form: Form) -> Convolution:
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
    return Convolution(_placed(weight.flatten(0, 1), form), _bias(module, form), factor=stride)


def _placed(weight: torch.Tensor, form: Form) -> torch.Tensor:
    weight = weight.detach()
    image: torch.Tensor = (round_to_tf32(weight) if form.is_tf32 else weight.to(form.dtype))[:, :, None]
    # Moved last: what it is made from never takes memory of the device.
    return image.contiguous(memory_format=torch.channels_last).to(form.device)


def _bias(module: Any, form: Form) -> torch.Tensor:
    bias: torch.Tensor = module.bias.detach().float().to(form.device)
    return bias


def round_to_tf32(numbers: torch.Tensor) -> torch.Tensor:
    """Return float32 numbers, each the nearest that TF32 has: 13 bits less."""
    bits = numbers.float().contiguous().view(torch.int32)
    rounded = ((bits + 0x1000) & ~0x1FFF).view(torch.float32)
    # The bits of what is no number would become those of a zero.
    return torch.where(numbers.isnan(), numbers.float(), rounded)


def convolve(convolution: Convolution, rows: torch.Tensor) -> torch.Tensor:
    """Return [P * factor, C] of rows [P, C_in], without the bias: whatever follows adds it in the same pass."""
    image = rows[None, None].permute(0, 3, 1, 2)  # [1, C_in, 1, P], channels last
    padding = convolution.dilation * (convolution.weight.shape[3] // 2)
    convolved = torch.nn.functional.conv2d(
        image, convolution.weight, padding=(0, padding), dilation=(1, convolution.dilation)
    )
    return convolved.permute(0, 2, 3, 1).reshape(convolution.factor * rows.shape[0], -1)
