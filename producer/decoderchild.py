"""Turns one recording into samples, in a process of its own: standard input to standard output.

Started by its path by `producer.decoding`, because a decoder that is fed with a file of somebody else may crash,
spin, eat memory or be taken over. Knows nothing of voices; whether a recording can be one is asked of its header
before any of it is decoded. What it writes: one line of JSON (rate, channels, frames), then the samples as 16-bit
integers. Exit status: 0, or `UNDECODABLE`; anything else is a decoder that came to its limits.
"""

from __future__ import annotations

import importlib
import io
import json
import sys

#: Exit status for a file that the decoder refuses; EX_DATAERR of sysexits.
UNDECODABLE = 65


def limit_process(max_memory_bytes: int, max_cpu_s: int) -> None:
    """Give up, for good, all that decoding does not need: memory, time, files, sockets and further processes."""
    import resource  # not on Windows, where `producer.decoding` is imported all the same

    limits = {
        resource.RLIMIT_AS: max_memory_bytes,
        resource.RLIMIT_CPU: max_cpu_s,
        resource.RLIMIT_CORE: 0,  # a dump would hold the recording
        resource.RLIMIT_FSIZE: 0,  # pipes are not meant
        resource.RLIMIT_NOFILE: 0,  # what is open stays open; nothing more can be opened, and no socket made
        resource.RLIMIT_NPROC: 0,  # root may go on to fork
    }
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, limit))


def decode(max_duration_s: int, max_rate_hz: int, max_channels: int, max_memory_bytes: int, max_cpu_s: int) -> int:
    """Decode standard input; of a recording whose header goes beyond a limit, write the header alone."""
    soundfile = importlib.import_module("soundfile")  # not a dependency of the producer: it is here or it is not
    data = sys.stdin.buffer.read()
    limit_process(max_memory_bytes, max_cpu_s)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            header = {"sample_rate_hz": file.samplerate, "num_channels": file.channels, "num_frames": file.frames}
            is_long = file.frames > max_duration_s * file.samplerate
            is_wide = file.samplerate > max_rate_hz or file.channels > max_channels
            frames = b"" if is_long or is_wide else file.buffer_read(dtype="int16")
    except soundfile.SoundFileError:
        return UNDECODABLE
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n")
    sys.stdout.buffer.write(frames)
    return 0


if __name__ == "__main__":
    sys.exit(decode(*map(int, sys.argv[1:])))
