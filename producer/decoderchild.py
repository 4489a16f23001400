"""Turns one recording into samples and measures them, in a process of its own: standard input to standard output.

Started by its path by `producer.decoding`, because a decoder that is fed with a file of somebody else may crash,
spin, eat memory or be taken over. Knows nothing of voices; whether a recording can be one is asked of its header
before any of it is decoded. What it writes: one line of JSON (rate, channels, frames, measurements), then the samples
as 16-bit integers, mono. Exit status: 0, or `UNDECODABLE`; anything else is a decoder that came to its limits.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

#: Exit status for a file that the decoder refuses; EX_DATAERR of sysexits.
UNDECODABLE = 65


def limit_process(max_memory_bytes: int, max_cpu_s: int) -> None:
    """Give up, for good, all that decoding does not need: memory, time, files, sockets and further processes."""
    import resource  # not on Windows, where `producer.decoding` is imported all the same

    limits = {
        resource.RLIMIT_AS: max_memory_bytes,
        resource.RLIMIT_CORE: 0,  # a dump would hold the recording
        resource.RLIMIT_FSIZE: 0,  # pipes are not meant
        resource.RLIMIT_NOFILE: 0,  # what is open stays open; nothing more can be opened, and no socket made
        resource.RLIMIT_NPROC: 0,  # root may go on to fork
    }
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, limit))
    # So long the decoder may take; as long again is for our own work, see `_allow_measuring`.
    resource.setrlimit(resource.RLIMIT_CPU, (max_cpu_s, 2 * max_cpu_s))


def _allow_measuring() -> None:
    if sys.platform != "win32":
        import resource

        _, limit_s = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s))


def decode(max_duration_s: int, max_rate_hz: int, max_channels: int, max_memory_bytes: int, max_cpu_s: int) -> int:
    """Decode standard input; of a recording whose header goes beyond a limit, write the header alone."""
    wavfile, listening = _beside("wavfile"), _beside("listening")
    data = sys.stdin.buffer.read()
    is_wav = data.startswith(b"RIFF")
    # Not a dependency of the producer: it is here or it is not. A WAV file is read without it.
    soundfile = None if is_wav else importlib.import_module("soundfile")
    if soundfile is not None or sys.platform != "win32":
        limit_process(max_memory_bytes, max_cpu_s)
    if soundfile is None:
        wav = wavfile.parse_wav(data)
    else:
        try:
            wav = _decoded(data, soundfile, wavfile, (max_duration_s, max_rate_hz, max_channels))
        except soundfile.SoundFileError:
            return UNDECODABLE
    _allow_measuring()
    samples = wav.mono()
    sound = asdict(listening.listen(samples, wav.format.sample_rate_hz)) if samples else None
    header = {
        "sample_rate_hz": wav.format.sample_rate_hz,
        "num_channels": wav.format.num_channels,
        "num_frames": len(samples) or wav.num_frames,  # the header of an MP3 file estimates; what was decoded is known
        "sound": sound,
    }
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n")
    sys.stdout.buffer.write(samples.tobytes())
    return 0


def _decoded(data: bytes, soundfile: Any, wavfile: Any, limits: tuple[int, int, int]) -> Any:
    """Return a recording as if it had come in a WAV file; without samples if its header goes beyond a limit."""
    max_duration_s, max_rate_hz, max_channels = limits
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        is_long = file.frames > max_duration_s * file.samplerate
        is_wide = file.samplerate > max_rate_hz or file.channels > max_channels
        frames = b"" if is_long or is_wide else file.buffer_read(dtype="int16")
        wav_format = wavfile.WavFormat(file.samplerate, file.channels, 16)
        return wavfile.WavFile(wav_format, file.frames, memoryview(frames))


def _beside(name: str) -> Any:
    """Import a file beside this one: our folder is not on the path, and the package would bring all that it has."""
    spec = importlib.util.spec_from_file_location(f"beside_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(decode(*map(int, sys.argv[1:])))
