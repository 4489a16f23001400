"""Reads the tensors of a `torch.save` file without running anything that the file holds.

Knows nothing of torch: names in the pickle are compared as strings, and tensors come out as bytes. What a state dict
or `conds.pt` needs is allowed (tensors, their storages, plain containers, numbers, strings); every other name is
refused before it is looked up. torch's own `weights_only` loader is not used: it had holes (CVE-2025-32434,
CVE-2026-24747), and it brings all of torch into the process that reads the untrusted file.
"""

from __future__ import annotations

import math
import pickle
import re
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np

#: Storage classes of torch, as (name of the dtype, bytes of one element).
_STORAGES: Final = {
    "BFloat16Storage": ("bfloat16", 2),
    "BoolStorage": ("bool", 1),
    "ByteStorage": ("uint8", 1),
    "CharStorage": ("int8", 1),
    "DoubleStorage": ("float64", 8),
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "IntStorage": ("int32", 4),
    "LongStorage": ("int64", 8),
    "ShortStorage": ("int16", 2),
}
#: The pickle holds names and shapes only; that of s3gen.pt, the largest, is far below 1 MiB.
_MAX_PICKLE_BYTES: Final = 16 << 20
_MAX_DIMENSIONS: Final = 16
#: Tensors may share a storage, but not so often that a small file becomes a large one.
_MAX_GROWTH: Final = 2
_KEY: Final = re.compile(r"\d{1,9}")


class RefusedError(Exception):
    """The file holds something that is not allowed, or is damaged. Argument: a sentence."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor as bytes: contiguous, row-major, little-endian."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def __setstate__(self, state: object) -> None:
        raise RefusedError("it tries to change a tensor")


class _StandIn:
    """Something that the pickle may name. It cannot be given attributes: that is what BUILD would do."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise RefusedError("it tries to change what belongs to the loader")


class _StorageType(_StandIn):
    __slots__ = ("dtype", "itemsize")

    def __init__(self, dtype: str, itemsize: int) -> None:
        self.dtype = dtype
        self.itemsize = itemsize


class _Storage(_StandIn):
    __slots__ = ("data", "kind")

    def __init__(self, kind: _StorageType, data: bytes) -> None:
        self.kind = kind
        self.data = data


class _OrderedDict(dict[Any, Any]):
    """Stands for `collections.OrderedDict`; the `_metadata` of a state dict arrives as state and is dropped."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        pass


class _Rebuild(_StandIn):
    """Stands for `torch._utils._rebuild_tensor_v2`; checks every number against the bytes that are there."""

    __slots__ = ("_budget_bytes",)

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes

    def __call__(
        self, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, metadata: Any = None
    ) -> StoredTensor:
        if type(storage) is not _Storage or type(requires_grad) is not bool or hooks or metadata:
            raise RefusedError("a tensor that is not made of plain parts")
        shape, strides = _counts(size, "shape"), _counts(stride, "stride")
        (start,) = _counts((offset,), "offset")
        if len(shape) != len(strides):
            raise RefusedError("a tensor whose shape and stride do not fit together")
        num_elements, num_stored = math.prod(shape), len(storage.data) // storage.kind.itemsize
        last = start + sum((length - 1) * step for length, step in zip(shape, strides, strict=True))
        if num_elements and last >= num_stored:
            raise RefusedError("a tensor that reaches beyond its data")
        self._budget_bytes -= num_elements * storage.kind.itemsize
        if self._budget_bytes < 0:
            raise RefusedError("tensors that are together much larger than the file")
        return StoredTensor(storage.kind.dtype, shape, _gather(storage, start, shape, strides))


def _counts(values: Any, what: str) -> tuple[int, ...]:
    is_plain = type(values) in {tuple, list} and len(values) <= _MAX_DIMENSIONS
    if not is_plain or any(type(value) is not int or not 0 <= value < 1 << 48 for value in values):
        raise RefusedError(f"a tensor whose {what} is not a few whole numbers")
    return tuple(values)


def _gather(storage: _Storage, start: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """Return the elements of a strided view in row-major order; no copy if it is the whole storage."""
    itemsize = storage.kind.itemsize
    num_elements = math.prod(shape)
    dense, expected = 1, []
    for length in reversed(shape):
        expected.append(dense)
        dense *= length
    is_contiguous = all(
        length == 1 or step == natural for length, step, natural in zip(shape, strides, reversed(expected), strict=True)
    )
    if num_elements == 0 or is_contiguous:
        if start == 0 and num_elements * itemsize == len(storage.data):
            return storage.data
        return storage.data[start * itemsize : (start + num_elements) * itemsize]
    flat = np.frombuffer(storage.data, dtype=f"V{itemsize}")[start:]
    view = np.lib.stride_tricks.as_strided(flat, shape, tuple(step * itemsize for step in strides), writeable=False)
    return np.ascontiguousarray(view).tobytes()


class _Unpickler(pickle.Unpickler):
    """Builds what the pickle describes out of stand-ins."""

    def __init__(self, pickled: bytes, archive: _Archive) -> None:
        super().__init__(BytesIO(pickled), encoding="utf-8")
        self._archive = archive
        self._storages: dict[tuple[str, str], _Storage] = {}
        self._allowed: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): _OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _Rebuild(_MAX_GROWTH * archive.size_bytes),
            **{("torch", name): _StorageType(*facts) for name, facts in _STORAGES.items()},
        }

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a name; nothing is ever imported."""
        try:
            return self._allowed[module, name]
        except KeyError:
            raise RefusedError(f"it asks for {module!r}.{name!r}, which is no tensor"[:300]) from None

    def persistent_load(self, pid: Any) -> _Storage:
        """Return the bytes of a storage."""
        if type(pid) is not tuple or len(pid) != 5:
            raise RefusedError("a storage that is not described as torch does")
        tag, kind, key, _, num_elements = pid
        is_plain = tag == "storage" and type(kind) is _StorageType and type(key) is str and type(num_elements) is int
        if not is_plain or not _KEY.fullmatch(key):
            raise RefusedError("a storage that is not described as torch does")
        if (key, kind.dtype) not in self._storages:
            data = self._archive.read(f"data/{key}")
            if len(data) != num_elements * kind.itemsize:
                raise RefusedError(f"storage {key} has {len(data)} bytes, not the {num_elements} elements it should")
            self._storages[key, kind.dtype] = _Storage(kind, data)
        return self._storages[key, kind.dtype]


class _Archive:
    """The zip file around the pickle: only stored entries, together no larger than the file."""

    def __init__(self, file: zipfile.ZipFile, size_bytes: int) -> None:
        self._file = file
        self.size_bytes = size_bytes
        self._entries = {entry.filename: entry for entry in file.infolist()}
        roots = [name.removesuffix("data.pkl") for name in self._entries if name.endswith("/data.pkl")]
        if len(roots) != 1 or roots[0].count("/") != 1:
            raise RefusedError("it holds no single data.pkl, so it was not written by torch.save")
        self._root = roots[0]
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in self._entries.values()):
            raise RefusedError("it is compressed or encrypted; torch.save does neither")
        if sum(entry.file_size for entry in self._entries.values()) > size_bytes:
            raise RefusedError("its entries are together larger than the file")
        if f"{self._root}byteorder" in self._entries and self.read("byteorder") != b"little":
            raise RefusedError("it was written on a big-endian machine")

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        """Return an entry, checked against its CRC."""
        entry = self._entries.get(self._root + name)
        if entry is None:
            raise RefusedError(f"its part {name} is missing")
        if max_bytes is not None and entry.file_size > max_bytes:
            raise RefusedError(f"its part {name} is far too large")
        return self._file.read(entry)


def read_torch_file(path: Path) -> Any:
    """Return what a `torch.save` file holds: nested dictionaries with `StoredTensor`s and plain values.

    Raises:
        RefusedError: if there is anything else in it, or it is damaged. Nothing in it was run.
        OSError: if it cannot be read.
    """
    if not zipfile.is_zipfile(path):
        raise RefusedError("it is cut short, or no checkpoint that a torch of the last years has written")
    try:
        with zipfile.ZipFile(path) as file:
            archive = _Archive(file, path.stat().st_size)
            return _Unpickler(archive.read("data.pkl", _MAX_PICKLE_BYTES), archive).load()
    except RefusedError:
        raise
    except MemoryError:
        raise RefusedError("it asks for far more memory than its size explains") from None
    except Exception as error:  # noqa: BLE001 - a hostile pickle can raise anything out of the unpickler
        raise RefusedError(f"it is damaged ({type(error).__name__}: {error})"[:300]) from None
