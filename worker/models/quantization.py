"""Turns the Linear layers of a T3 into int8 layers of bitsandbytes, in place and without a second copy.

Knows nothing of files, voices or sampling. S3Gen and the voice encoder never come here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from worker.models.int8_support import import_bitsandbytes

if TYPE_CHECKING:
    import torch
    from torch import nn

#: Activations above this are multiplied in half precision instead (LLM.int8()). 0.0 turns that off: it costs a host
#: synchronisation in each of 213 layers of every step (measured in docs/bnb-quantization.md).
DEFAULT_THRESHOLD: Final = 0.0


def quantize_t3(t3: nn.Module, device: str | torch.device, *, threshold: float = DEFAULT_THRESHOLD) -> nn.Module:
    """Turn a T3 on the CPU into an int8 T3 on `device`, in place, and return it.

    The weights are rounded while they move, one layer at a time: at its highest, the device holds the end state and
    one layer in half precision. What is not a Linear layer becomes float16, which is what the int8 kernels take and
    give.

    Args:
        t3: in any precision.
        device: where it goes; CUDA, except to test the logic.
        threshold: see `DEFAULT_THRESHOLD`.
    """
    # The stock generation loop hangs a second set of references to the layers into the module tree.
    t3._modules.pop("patched_model", None)
    replace_linears(t3, threshold=threshold)
    cast_parameters(t3, "float16").requires_grad_(requires_grad=False)
    return t3.to(device).eval()


def cast_parameters(root: nn.Module, dtype: str) -> nn.Module:
    """Cast the parameters below `root` in place, and return it. Int8 weights and computed buffers stay as they are.

    `Module.to(dtype)` would also cast the rotary frequencies, which shifts every position.
    """
    import torch

    for parameter in root.parameters():
        if not is_int8_weight(parameter) and parameter.is_floating_point():
            parameter.data = parameter.data.to(getattr(torch, dtype))
    return root


def replace_linears(root: nn.Module, *, threshold: float) -> list[str]:
    """Replace every Linear below `root`, however nested, by an int8 layer over the same weights.

    Names, biases and modes stay. A layer that is reachable by two paths stays one layer. Nothing is rounded yet: that
    happens when the layers move to a device.

    Returns:
        The names of the replaced layers.
    """
    from torch import nn

    int8_linear = import_bitsandbytes().nn.Linear8bitLt
    replacements: dict[nn.Module, nn.Module] = {}
    names: list[str] = []
    for parent_name, parent in list(root.named_modules()):
        for name, child in list(parent._modules.items()):
            if not isinstance(child, nn.Linear) or isinstance(child, int8_linear):
                continue
            if child not in replacements:
                replacements[child] = _int8_layer(child, threshold=threshold)
            setattr(parent, name, replacements[child])
            names.append(f"{parent_name}.{name}" if parent_name else name)
    return names


def is_int8_weight(parameter: Any) -> bool:
    """Return whether a parameter is the weight of an int8 layer, rounded already or not."""
    return type(parameter).__name__ == "Int8Params"


def count_linears(root: nn.Module) -> tuple[int, int]:
    """Return how many Linear layers are below `root`, and how many of them are int8 layers with int8 weights."""
    import torch
    from torch import nn

    linears = [module for module in root.modules() if isinstance(module, nn.Linear)]
    return len(linears), sum(1 for linear in linears if linear.weight.dtype == torch.int8)


def empty_int8_layer(linear: nn.Module, *, threshold: float) -> Any:
    """Return an int8 layer of the same shape, without memory behind it."""
    layer = import_bitsandbytes().nn.Linear8bitLt(
        linear.in_features,
        linear.out_features,
        bias=linear.bias is not None,
        has_fp16_weights=False,
        threshold=threshold,
        device="meta",
    )
    return layer.train(linear.training)


def _int8_layer(linear: nn.Module, *, threshold: float) -> nn.Module:
    layer = empty_int8_layer(linear, threshold=threshold)
    weights = import_bitsandbytes().nn.Int8Params
    layer.weight = weights(linear.weight.data, requires_grad=False, has_fp16_weights=False)
    if linear.bias is not None:
        layer.bias = linear.bias
    return layer  # type: ignore[no-any-return]
