"""All checks of a take that need no recognizer, and what they make of it. Knows nothing of second attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.quality.doubling import check_doubled
from worker.quality.duration import check_duration, sound_seconds
from worker.quality.ending import check_cut, check_trailing_noise, tail_seconds
from worker.quality.finding import Finding, Flag, score_of
from worker.quality.habits import HabitBook
from worker.quality.levels import check_clipping, check_finite, check_loudness
from worker.quality.likeness import Likeness
from worker.quality.looping import check_looping
from worker.quality.pauses import check_pauses
from worker.quality.sound import Sound, prepare
from worker.quality.spoken import Spoken
from worker.quality.tokens import check_tokens

#: Raised when a check changes so much that takes in the cache should be looked at again.
CHECKS_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in a take."""

    findings: tuple[Finding, ...]

    @property
    def flags(self) -> tuple[str, ...]:
        """Their names, the gravest first."""
        return tuple(finding.flag.value for finding in sorted(self.findings, key=lambda found: -found.weight))

    @property
    def score(self) -> float:
        """0 to 1, the higher the better."""
        return score_of(self.findings)

    def joined(self, others: Sequence[Finding]) -> Verdict:
        """Return a verdict that says this and more."""
        return Verdict((*self.findings, *others))


class Examiner:
    """Looks at takes, and learns from those in which it finds nothing. Safe for use from many threads."""

    def __init__(self) -> None:
        prepare()
        self._book = HabitBook()

    def examine(
        self,
        pcm: NDArray[np.float32],
        rate_hz: int,
        *,
        text: str,
        language: str,
        voice: str,
        tokens: NDArray[np.integer] | None = None,
    ) -> Verdict:
        """Return what is wrong with a take.

        Args:
            pcm: [num_samples] float32, mono, -1 to 1.
            rate_hz: samples per second.
            text: what was to be said.
            language: in which language, by its code.
            voice: names whoever speaks; takes of one voice are compared with one another.
            tokens: [num_tokens], the speech tokens that the sound was made of, if the engine has such.
        """
        if (broken := check_finite(pcm)) is not None:
            return Verdict((broken,))
        sound = Sound.of(pcm, rate_hz)
        spoken = Spoken.of(text)
        inaudible = check_loudness(sound)
        if inaudible is not None and inaudible.flag is Flag.SILENT:
            return Verdict((inaudible,))
        likeness = Likeness.of(sound)
        expected = self._book.expect(voice, language, spoken)
        found = (
            inaudible,
            check_clipping(sound),
            check_duration(sound, expected),
            check_cut(sound, expected),
            check_trailing_noise(sound),
            check_pauses(sound),
            check_looping(likeness, spoken),
            check_doubled(likeness, spoken),
            check_tokens(tokens),
        )
        verdict = Verdict(tuple(finding for finding in found if finding is not None))
        if not verdict.findings:
            self._book.learn(voice, language, spoken, sound_seconds(sound), tail_seconds(sound))
        return verdict
