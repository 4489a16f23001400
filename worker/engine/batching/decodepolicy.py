"""The knobs of a decode turn, and what they are for a number of slots.

Knows nothing of who turns them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from worker.engine.batching.scheduler import Patience


@dataclass(frozen=True, slots=True)
class DecodePolicy:
    """How much a turn does, and when a prefill pays."""

    #: Steps per turn. An end of speech is seen two turns late when launches run ahead, and the slot idles meanwhile:
    #: ten steps of some 400. Fewer steps per turn would cost more looks than they save.
    steps_per_turn: int = 4
    #: With so few slots the host waits for each turn: their ends are seen at once, and what is lost between two
    #: launches is little of a step that is short anyway. With more, launches run ahead of the device.
    most_waited_for: int = 4
    #: Prompts per prefill at most: all slots that speak wait for it.
    max_prefill: int = 16
    #: When to admit while others speak. A prefill is a pause for all slots, whether it admits one prompt or eight; a
    #: slot that waits for company is idle.
    patience: Patience = field(default_factory=lambda: Patience(enough=8, longest_s=0.2))

    @classmethod
    def for_slots(cls, num_slots: int) -> Self:
        """Return the knobs for an engine of this size.

        Of 128 slots one becomes free every 20 ms and a prefill takes some 7, so eight share one; of 16 slots one
        becomes free every 60 ms, and waiting for a second one would cost more than its prefill.
        """
        return cls(patience=Patience(enough=max(1, num_slots // 16), longest_s=0.2))
