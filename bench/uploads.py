"""How long the embedded S3 server takes for segments that come in bursts: `python -m bench.uploads`.

    python -m bench.uploads [--limits 64:256,256:512] [--seconds 45] [--name NAME]

A renderer ends a batch of speeches at once, and the threads of a worker store all of them at the same moment. The
server is started as the product starts it, and with other sizes of volumes (megabytes) and other limits of its memory
(mebibytes) in the same run; the product's own are the last ones, if nothing else is asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.record import write_result
from producer.contract.settings import Settings
from producer.stack import EmbeddedStack, seaweedfs
from producer.storage import ObjectStore

#: Threads that store, as a worker of 128 slots has them.
NUM_THREADS: Final = 256

#: Seconds from which an upload counts as held up.
LONG_S: Final = 0.5


def measure(options: argparse.Namespace, limits: str) -> dict[str, Any]:
    """Start a server, store bursts of segments at a steady pace, and return how long each upload took."""
    volume_mb, memory_mib = (int(part) for part in limits.split(":"))
    with tempfile.TemporaryDirectory() as folder:
        seaweedfs.VOLUME_MB, seaweedfs.MEMORY_MIB = volume_mb, memory_mib  # type: ignore[misc]  # final for others
        with EmbeddedStack(Path(folder)) as stack:
            os.environ.update(stack.environment())
            took_s = np.array(_store_bursts(options))
    return {
        "volume_mb": volume_mb,
        "memory_mib": memory_mib,
        "num_uploads": len(took_s),
        "mean_s": round(float(took_s.mean()), 3),
        **{f"p{part}_s": round(float(np.percentile(took_s, part)), 3) for part in (50, 99)},
        "longest_s": round(float(took_s.max()), 3),
        "share_held_up": round(float((took_s >= LONG_S).mean()), 4),
        # By Little's law: what of a worker's threads is not there to keep the engine busy.
        "mean_threads_uploading": round(float(took_s.mean()) * options.per_s, 1),
    }


def _store_bursts(options: argparse.Namespace) -> list[float]:
    store = ObjectStore.connect(Settings.load(), read_timeout_s=30, max_connections=NUM_THREADS, is_direct=True)
    data = os.urandom(options.bytes)
    took_s: list[float] = []
    lock = threading.Lock()

    def upload(number: int) -> None:
        begun_s = time.perf_counter()
        store.put(f"segments/{number:08}", data, "audio/flac")
        with lock:
            took_s.append(time.perf_counter() - begun_s)

    begun_s = time.perf_counter()
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        uploads = []
        for first in range(0, round(options.seconds * options.per_s), options.burst):
            time.sleep(max(0.0, begun_s + first / options.per_s - time.perf_counter()))
            uploads += [pool.submit(upload, number) for number in range(first, first + options.burst)]
    for each in uploads:
        each.result()
    return took_s


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description="How long the embedded S3 server takes for bursts of segments.")
    parser.add_argument(
        "--limits",
        default=f"64:256,64:512,256:256,{seaweedfs.VOLUME_MB}:{seaweedfs.MEMORY_MIB}",
        help="megabytes of a volume and mebibytes of memory, a server each",
    )
    parser.add_argument("--per-s", type=float, default=32.0, help="segments a second: 400 s of speech, 12.4 s each")
    parser.add_argument("--burst", type=int, default=32, help="segments at once")
    parser.add_argument("--bytes", type=int, default=430_000, help="of a segment")
    parser.add_argument("--seconds", type=float, default=45.0)
    parser.add_argument("--name", default="uploads", help="of the result file")
    options = parser.parse_args()
    servers = []
    for limits in options.limits.split(","):
        servers.append(measure(options, limits))
        print(json.dumps(servers[-1]), flush=True)
    result = {
        "command": " ".join(["python -m bench.uploads", *sys.argv[1:]]),
        "settings": {name: getattr(options, name) for name in ("per_s", "burst", "bytes", "seconds")},
        "servers": servers,
    }
    print(write_result(options.name, result))


if __name__ == "__main__":
    main()
