"""Turns a `.pt` file into safetensors, once, in a child process that can do nothing else.

Knows nothing of the lock. The child has no torch, no credentials in its environment, and limits on its memory, time
and output; it reads with `torchfile`, so that nothing in the file is run. Run as `python -m` it is that child.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

#: Raise it when the same `.pt` file would be converted to other bytes.
CONVERTED_FORMAT: Final = "tensors-1"
#: The one metadata field of a converted file. One, because safetensors writes several in random order.
METADATA_KEY: Final = "chatterqueue"
#: Separates the levels of a nested dictionary in a tensor's name; no module has it in its name.
LEVEL: Final = "/"

_EXIT_REFUSED: Final = 3
_MAX_CPU_S: Final = 600
_TIMEOUT_S: Final = 1200.0
#: Memory and output beyond the file's own size: the interpreter's own needs, headers.
_MEMORY_MARGIN_BYTES: Final = 256 << 20
_OUTPUT_MARGIN_BYTES: Final = 16 << 20


class ConversionError(Exception):
    """The child refused the file or did not come to an end. Argument: a sentence."""


def convert(source: Path, target: Path, *, source_sha256: str) -> None:
    """Write the tensors of a `.pt` file as safetensors; `target` is there whole or not at all.

    Raises:
        ConversionError: if the file was refused, or the child hit a limit.
    """
    # A folder of its own: nothing is there to be imported by mistake, and nothing stays behind.
    with tempfile.TemporaryDirectory(prefix=".convert-", dir=target.parent) as folder:
        fresh = Path(folder) / "tensors"
        # Absolute: the child runs in another folder.
        paths = [str(path.absolute()) for path in (source, fresh)]
        command = [sys.executable, "-s", "-B", "-m", __spec__.name, *paths, source_sha256]
        try:
            done = subprocess.run(
                command, cwd=folder, env=_child_environment(), capture_output=True, timeout=_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise ConversionError(f"reading it took longer than {_TIMEOUT_S:g} s") from None
        if done.returncode == _EXIT_REFUSED:
            raise ConversionError(done.stdout.decode(errors="replace").strip())
        if done.returncode != 0 or not fresh.exists():
            last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
            raise ConversionError(f"the process that read it ended with {done.returncode}: {last[:300]}")
        with fresh.open("r+b") as file:
            os.fsync(file.fileno())
        fresh.replace(target)


def _child_environment() -> dict[str, str]:
    """Return the few variables that the child needs: where our package is; no credentials."""
    root = Path(__file__).parents[3]
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    return {**kept, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"}


def _limit_resources(source_bytes: int) -> None:
    """Bound what this process can use from here on. Elsewhere than on Linux there is only the strict reader."""
    if sys.platform != "linux":
        return
    import resource

    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = {
        # The storages, a strided copy of one, and the pickle.
        resource.RLIMIT_AS: in_use + 3 * source_bytes + _MEMORY_MARGIN_BYTES,
        resource.RLIMIT_CPU: _MAX_CPU_S,
        resource.RLIMIT_FSIZE: 2 * source_bytes + _OUTPUT_MARGIN_BYTES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 32,
        resource.RLIMIT_NPROC: 0,
    }
    for kind, limit in limits.items():
        _, hard = resource.getrlimit(kind)
        bounded = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (bounded, bounded))


def flatten(content: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split nested dictionaries into tensors by their path, and plain values by their path.

    Raises:
        RefusedError: if there is anything but dictionaries, tensors and plain values, or the nesting is deep.
    """
    from worker.models.store.torchfile import RefusedError, StoredTensor

    tensors: dict[str, Any] = {}
    plain: dict[str, Any] = {}
    waiting: list[tuple[tuple[str, ...], Any]] = [((), content)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Mapping):
            keys = list(value)
            if len(path) >= 2 or any(type(key) is not str or not key or LEVEL in key for key in keys):
                raise RefusedError("dictionaries nested too deeply, or with keys that are no names")
            waiting.extend(((*path, key), value[key]) for key in keys)
        elif isinstance(value, StoredTensor):
            tensors[LEVEL.join(path)] = value
        elif value is None or type(value) in {bool, int, float, str}:
            plain[LEVEL.join(path)] = value
        else:
            raise RefusedError(f"a {type(value).__name__.strip('_')} at {LEVEL.join(path) or 'the top'}")
        if len(tensors) + len(plain) + len(waiting) > 1_000_000:
            raise RefusedError("far too many entries")
    if not tensors or "" in tensors:
        raise RefusedError("no dictionary of tensors")
    return tensors, plain


def _write(source: Path, target: Path, source_sha256: str) -> None:
    from safetensors import serialize_file

    from worker.models.store.torchfile import read_torch_file

    tensors, plain = flatten(read_torch_file(source))
    about = {"format": CONVERTED_FORMAT, "source_sha256": source_sha256, "plain": plain}
    serialize_file(  # type: ignore[no-untyped-call]
        {name: {"dtype": t.dtype, "shape": list(t.shape), "data": t.data} for name, t in tensors.items()},
        str(target),
        {METADATA_KEY: json.dumps(about, sort_keys=True)},
    )


def _main(source: Path, target: Path, source_sha256: str) -> int:
    # Everything that has to be imported is, before the limits: afterwards only data is read.
    import safetensors  # noqa: F401

    from worker.models.store.torchfile import RefusedError

    _limit_resources(source.stat().st_size)
    try:
        _write(source, target, source_sha256)
    except RefusedError as error:
        sys.stdout.write(str(error))
        return _EXIT_REFUSED
    except MemoryError:
        sys.stdout.write("it asks for far more memory than its size explains")
        return _EXIT_REFUSED
    return 0


if __name__ == "__main__":
    raise SystemExit(_main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
