"""Numbers as people read them. Knows nothing of where they come from."""

from __future__ import annotations


def clock_time(seconds: float) -> str:
    """Return seconds as `0:07`, `12:34` or `3:02:01`."""
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest_s:02}" if hours else f"{minutes}:{rest_s:02}"


def file_size(num_bytes: int) -> str:
    """Return bytes as `312 kB` or `4.2 MB`."""
    if num_bytes < 1_000_000:
        return f"{num_bytes / 1000:.0f} kB"
    return f"{num_bytes / 1_000_000:.1f} MB"
