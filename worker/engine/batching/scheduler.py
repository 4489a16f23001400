"""Who is spoken when: the utterances that wait, those that have a slot, and when it pays to admit some.

Pure policy: no threads, no clock, no device. (Iteration-level scheduling is that of Yu et al. 2022, "Orca", OSDI '22,
section 3.1; the division into scheduler and runner that of nano-vllm. Nothing is ever preempted to make room: a slot
holds its whole ceiling from the start.)
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from worker.engine.batching.utterance import Utterance


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a batch may wait to become larger."""

    #: So many are worth a batch of their own.
    enough: int
    #: Seconds after which fewer will do.
    longest_s: float

    def is_over(self, num_waiting: int, waited_s: float, *, can_grow: bool) -> bool:
        """Say whether to begin: enough have come, or they have waited enough, or no others can be expected."""
        return num_waiting > 0 and (num_waiting >= self.enough or waited_s >= self.longest_s or not can_grow)


class Scheduler:
    """The waiting, in order, and the slots; used by one thread."""

    def __init__(self) -> None:
        self._waiting: list[tuple[tuple[int, int], Utterance]] = []
        self._speaking: dict[int, Utterance] = {}
        #: A suspect that was admitted; it is alone until it has ended or waits again.
        self._alone: Utterance | None = None

    @property
    def num_waiting(self) -> int:
        """Utterances without a slot."""
        return len(self._waiting)

    @property
    def num_speaking(self) -> int:
        """Utterances with a slot."""
        return len(self._speaking)

    @property
    def speaking(self) -> list[Utterance]:
        """The utterances with a slot."""
        return list(self._speaking.values())

    def add(self, utterance: Utterance) -> None:
        """Have an utterance wait for a slot, at the place that its rank gives it."""
        if utterance is self._alone:
            self._alone = None
        heapq.heappush(self._waiting, (utterance.rank, utterance))

    def must_hold(self, *, is_quiet: bool) -> bool:
        """Say whether nobody may be admitted for now, because a suspect is at work or is the next one.

        Args:
            is_quiet: whether nothing is being rendered.
        """
        if self._alone is not None and not self._alone.future.done():
            return True
        is_suspect_next = bool(self._waiting) and self._waiting[0][1].request.is_suspect
        return is_suspect_next and not (is_quiet and not self._speaking)

    def next_in(self, can_admit: Callable[[Sequence[Any]], bool], *, most: int) -> list[tuple[Utterance, Any]]:
        """Return the first of those who wait, with their prompts, as many as there is room for; they go on waiting.

        Strictly in order: one that needs two rows is not overtaken for ever by those that need one. A suspect comes
        alone.
        """
        first: list[tuple[Utterance, Any]] = []
        for _, utterance in heapq.nsmallest(most, self._waiting):
            prompt = utterance.prompt()
            is_suspect = utterance.request.is_suspect
            if (is_suspect and first) or not can_admit([*(earlier for _, earlier in first), prompt]):
                break
            first.append((utterance, prompt))
            if is_suspect:
                break
        return first

    def take(self, num_utterances: int) -> list[Utterance]:
        """Take out the first of those who wait."""
        taken = [heapq.heappop(self._waiting)[1] for _ in range(num_utterances)]
        self._alone = next((utterance for utterance in taken if utterance.request.is_suspect), None)
        return taken

    def place(self, utterance: Utterance, slot: int) -> None:
        """Note which slot an utterance was given."""
        assert slot not in self._speaking, "the decoder gave a slot away twice"
        self._speaking[slot] = utterance

    def retire(self, slot: int) -> Utterance | None:
        """Return who was in a slot that is free again; None if nobody was."""
        return self._speaking.pop(slot, None)

    def retire_all(self) -> dict[int, Utterance]:
        """Return who was in which slot; nobody is any more."""
        speaking, self._speaking = self._speaking, {}
        return speaking

    def unwanted_slots(self) -> list[int]:
        """Return the slots of utterances that nobody waits for."""
        return [slot for slot, utterance in self._speaking.items() if not utterance.future.is_wanted]

    def drop_unwanted(self) -> list[Utterance]:
        """Take out those who wait for a slot and whom nobody waits for."""
        unwanted = [entry for entry in self._waiting if not entry[1].future.is_wanted]
        if unwanted:
            self._waiting = [entry for entry in self._waiting if entry[1].future.is_wanted]
            heapq.heapify(self._waiting)
        return [utterance for _, utterance in unwanted]
