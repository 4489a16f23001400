"""Turns one recording into samples, in a process of its own: standard input to standard output.

Started by its path by `producer.decoding`, because a decoder that is fed with a file of somebody else may crash,
spin or eat memory. Knows nothing of voices; whether a recording can be one is asked of its header before any of it
is decoded. What it writes: one line of JSON (rate, channels, frames), then the samples as 16-bit integers.
"""

from __future__ import annotations

import importlib
import io
import json
import resource
import sys


def decode(max_samples: int, max_memory_bytes: int, max_cpu_s: int) -> None:
    """Decode standard input; of a recording with more than `max_samples` over all channels, write the header alone."""
    soundfile = importlib.import_module("soundfile")  # not a dependency of the producer: it is here or it is not
    data = sys.stdin.buffer.read()
    resource.setrlimit(resource.RLIMIT_AS, (max_memory_bytes, max_memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (max_cpu_s, max_cpu_s))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        header = {"sample_rate_hz": file.samplerate, "num_channels": file.channels, "num_frames": file.frames}
        sys.stdout.buffer.write(json.dumps(header).encode() + b"\n")
        if file.frames * file.channels <= max_samples:
            sys.stdout.buffer.write(file.buffer_read(dtype="int16"))


if __name__ == "__main__":
    decode(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
