"""Takes that are spoiled on purpose, each in a way in which models spoil them. Knows nothing of who looks for it.

Every function takes samples [num_samples] float32 and a generator, and returns other samples; the first ones stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Fault = Callable[[Samples, int, np.random.Generator], Samples]

#: Below this share of the loudest sample nothing is said.
_SILENT_SHARE: Final = 0.02


def speech_span(pcm: Samples) -> tuple[int, int]:
    """Return the first sample of the speech, and the one behind its last."""
    loud = np.flatnonzero(np.abs(pcm) > _SILENT_SHARE * np.abs(pcm).max())
    return int(loud[0]), int(loud[-1]) + 1


def cut(pcm: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Stop dead after 50 to 90 % of the speech."""
    first, end = speech_span(pcm)
    return pcm[: first + round((end - first) * rng.uniform(0.5, 0.9))]


def stopped_early(pcm: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """End as a whole take ends, with a fade and silence, but after 50 to 90 % of the speech, where it is quietest."""
    first, end = speech_span(pcm)
    wanted = first + round((end - first) * rng.uniform(0.5, 0.9))
    reach, look = round(0.12 * rate_hz), round(0.02 * rate_hz)
    places = range(max(first, wanted - reach), max(first + 1, wanted + reach - look), look // 2)
    quietest = min(places, key=lambda place: float(np.square(pcm[place : place + look]).sum()))
    fade = np.linspace(1, 0, min(look, len(pcm) - quietest), dtype=np.float32)
    return np.concatenate([pcm[:quietest], pcm[quietest : quietest + len(fade)] * fade, pcm[end:]])


def doubled(pcm: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Say all of it twice, the second time a little louder or softer, with a breath between or none."""
    first, end = speech_span(pcm)
    again = pcm[first:end] * np.float32(10 ** (rng.uniform(-2, 2) / 20))
    return np.concatenate([pcm[:end], _silence(rng.uniform(0, 0.5), rate_hz), again, pcm[end:]])


def looping(pcm: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Say the last 0.2 to 1 s again and again, 3 to 10 times, none quite like the one before."""
    first, end = speech_span(pcm)
    length = min(round(rng.uniform(0.2, 1.0) * rate_hz), end - first)
    piece = pcm[end - length : end]
    turns = [_varied(piece, rng) for _ in range(rng.integers(3, 11))]
    return np.concatenate([pcm[:end], *turns, pcm[end:]])


def _varied(piece: Samples, rng: np.random.Generator) -> Samples:
    """Return it up to 3 % slower or faster, 1 dB louder or softer, and with some noise."""
    length = round(len(piece) * rng.uniform(0.97, 1.03))
    stretched = np.interp(np.linspace(0, len(piece) - 1, length), np.arange(len(piece)), piece)
    noise = rng.standard_normal(length) * np.sqrt(np.mean(np.square(piece))) * 0.02
    return (stretched * 10 ** (rng.uniform(-1, 1) / 20) + noise).astype(np.float32)


def silent(pcm: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Say nothing: digital silence, or hiss at -70 dBFS or less."""
    if rng.random() < 0.5:
        return np.zeros_like(pcm)
    return _scaled(rng.standard_normal(len(pcm)), rng.uniform(-85, -70))


def noisy_tail(pcm: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Go on after the speech with 0.7 to 4 s of hiss, rumble, hum or gusts, 6 to 26 dB below the speech."""
    first, end = speech_span(pcm)
    count = round(rng.uniform(0.7, 4.0) * rate_hz)
    kind = rng.choice(["hiss", "rumble", "hum", "gusts"])
    noise = rng.standard_normal(count)
    time_s = np.arange(count) / rate_hz
    if kind in {"rumble", "gusts"}:
        noise = np.convolve(noise, np.exp(-np.arange(200) / 30.0), mode="same")
    if kind == "gusts":
        noise *= 0.6 + 0.4 * np.sin(2 * np.pi * rng.uniform(0.3, 1.5) * time_s + rng.uniform(0, 6))
    if kind == "hum":
        pitch_hz = rng.uniform(50, 240)
        noise = 0.05 * noise + sum(np.sin(2 * np.pi * pitch_hz * k * time_s) / k for k in range(1, 8))
    level_db = 20 * np.log10(np.sqrt(np.mean(np.square(pcm[first:end])))) - rng.uniform(6, 26)
    return np.concatenate([pcm[:end], _scaled(noise, float(level_db)), pcm[end:]])


def clipped(pcm: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Be so loud that the tops are cut off: 6 to 20 dB too much."""
    gain = 10 ** (rng.uniform(6, 20) / 20) / np.abs(pcm).max()
    return np.clip(pcm * np.float32(gain), -1, 1)


def not_finite(pcm: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Hold some samples that are no numbers."""
    spoiled = pcm.copy()
    spoiled[rng.integers(0, len(pcm), rng.integers(1, 50))] = rng.choice([np.nan, np.inf, -np.inf])
    return spoiled


def long_pause(pcm: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Fall silent for 1.5 to 6 s somewhere in the middle."""
    first, end = speech_span(pcm)
    place = first + round((end - first) * rng.uniform(0.2, 0.8))
    return np.concatenate([pcm[:place], _silence(rng.uniform(1.5, 6.0), rate_hz), pcm[place:]])


def _silence(seconds: float, rate_hz: int) -> Samples:
    return np.zeros(round(seconds * rate_hz), np.float32)


def _scaled(noise: NDArray[np.float64], level_db: float) -> Samples:
    return (noise * 10 ** (level_db / 20) / np.sqrt(np.mean(np.square(noise)))).astype(np.float32)


#: What the figures are about.
FAULTS: Final[Mapping[str, Fault]] = {
    "cut": cut,
    "doubled": doubled,
    "looping": looping,
    "silent": silent,
    "noisy_tail": noisy_tail,
    "clipped": clipped,
    "not_finite": not_finite,
    "long_pause": long_pause,
}
#: Harder than what the figures are about: nothing in the sound says that the text was not at its end.
HARD_FAULTS: Final[Mapping[str, Fault]] = {"stopped_early": stopped_early}


def clean(pcm: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Leave a take as it is."""
    return pcm


def in_a_room(pcm: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Add the noise of a room, 34 to 44 dB below the speech, and a level of its own."""
    first, end = speech_span(pcm)
    level_db = 20 * np.log10(np.sqrt(np.mean(np.square(pcm[first:end])))) - rng.uniform(34, 44)
    noise = np.convolve(rng.standard_normal(len(pcm)), np.exp(-np.arange(40) / 6.0), mode="same")
    return (pcm + _scaled(noise, float(level_db))) * np.float32(10 ** (rng.uniform(-8, 6) / 20))


def tight(pcm: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Take the silence at both ends away, but for 80 to 200 ms after the speech, as some models leave it."""
    first, end = speech_span(pcm)
    return pcm[max(0, first - round(0.02 * rate_hz)) : end + round(rng.uniform(0.08, 0.2) * rate_hz)]


#: How intact takes sound before anything is spoiled.
CONDITIONS: Final[Mapping[str, Fault]] = {"clean": clean, "in_a_room": in_a_room, "tight": tight}
