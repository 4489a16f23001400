"""Runs Triton kernels in Triton's interpreter, in a process of its own: `python interpreter.py`.

Triton decides at import whether it interprets, and in a test process it may be imported already. Calls come in on
standard input and results go out on standard output, as torch saves them.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, BinaryIO


def serve(calls: BinaryIO, results: BinaryIO) -> None:
    """Answer each call (module, function, arguments) by its result and its arguments, which it may have written to."""
    import torch

    torch.set_num_threads(1)
    mend_interpreter()
    while True:
        module, function, arguments, options = receive(calls)
        try:
            result = getattr(importlib.import_module(module), function)(*arguments, **options)
        except Exception as exc:  # noqa: BLE001 - the asking process raises it
            result = RuntimeError(f"{type(exc).__name__}: {exc}")
        send(results, (result, arguments))


def mend_interpreter() -> None:
    """Let a loop run to a computed bound: Triton 3.6 makes an int of a one-element array, which numpy 2.4 refuses."""
    from triton.runtime import interpreter

    patch = interpreter._patch_lang_tensor

    def patch_and_mend(tensor: Any, scope: Any) -> None:
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    interpreter._patch_lang_tensor = patch_and_mend


def send(stream: BinaryIO, message: Any) -> None:
    import io

    import torch

    buffer = io.BytesIO()
    torch.save(message, buffer)
    data = buffer.getvalue()
    stream.write(len(data).to_bytes(8, "little") + data)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    import io

    import torch

    size = stream.read(8)
    if not size:
        raise SystemExit
    return torch.load(io.BytesIO(stream.read(int.from_bytes(size, "little"))), weights_only=False)


if __name__ == "__main__":
    # What Triton prints must not come between the results.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, output)
