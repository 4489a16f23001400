"""How much memory a piece of torch code has in use at its peak, by watching what each operation makes on a CPU."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch  # noqa: TID253 - this watches it
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: TID253
from torch.utils._pytree import tree_leaves  # noqa: TID253


class _Watch(TorchDispatchMode):
    """Counts the bytes of storages that were made within it and are still there."""

    def __init__(self) -> None:
        super().__init__()
        self.peak_bytes = 0
        self._live_bytes = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        # What goes in was there before, or has been counted: a view of it is not new.
        self._note(tree_leaves((args, kwargs)), counts=False)
        results = func(*args, **(kwargs or {}))
        self._note(tree_leaves(results), counts=True)
        return results

    def _note(self, leaves: Sequence[Any], *, counts: bool) -> None:
        for leaf in leaves:
            if not isinstance(leaf, torch.Tensor):
                continue
            storage = leaf.untyped_storage()
            if (key := storage._cdata) in self._known:
                continue
            self._known.add(key)
            num_bytes = storage.nbytes() if counts else 0
            self._live_bytes += num_bytes
            self.peak_bytes = max(self.peak_bytes, self._live_bytes)
            weakref.finalize(storage, self._forget, key, num_bytes)

    def _forget(self, key: int, num_bytes: int) -> None:
        self._known.discard(key)
        self._live_bytes -= num_bytes


def peak_bytes(work: Callable[[], Any]) -> int:
    """Return the most bytes that tensors made by a call take at once, what it returns included."""
    gc.collect()
    with _Watch() as watch:
        result = work()
    del result
    return watch.peak_bytes
