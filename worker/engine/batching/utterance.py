"""One request on its way through the engine: its future, its seeds, and what it has cost so far.

Knows nothing of who works on it; at any moment exactly one stage does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from producer.contract.routing import Priority
from worker.engine.batching.ports import Places, Script
from worker.engine.batching.takefuture import TakeFuture
from worker.engine.request import SegmentRequest, Usage, seeds_of

#: Lanes in the order in which they are served.
_LANES: Final = {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 2}


@dataclass(slots=True, eq=False)
class Utterance:
    """A request that was submitted and has no end yet."""

    request: SegmentRequest
    #: Order of submission.
    number: int
    future: TakeFuture = field(default_factory=TakeFuture)
    #: Set by the preparation.
    script: Script | None = None
    seeds: list[int] = field(init=False)
    num_restarts: int = 0
    #: Seconds of the engine's time that are this utterance's share, failed attempts included.
    decode_s: float = 0.0
    render_s: float = 0.0
    #: The speech tokens of the last attempt, unopened; None until it ended.
    tokens: Any = None
    #: Where in the text each of them was spoken, unopened too; None of a model that does not say so.
    text_positions: Any = None

    def __post_init__(self) -> None:
        self.seeds = seeds_of(self.request)

    @property
    def rank(self) -> tuple[int, int]:
        """Who comes first: the higher lane, then the older. An utterance that is spoken again keeps its place."""
        return _LANES[self.request.priority], self.number

    @property
    def seed(self) -> int:
        """The seed of the present attempt."""
        return self.seeds[0]

    def take_next_seed(self) -> bool:
        """Go on to the next seed; return False if there is none left."""
        if len(self.seeds) == 1:
            return False
        del self.seeds[0]
        return True

    def prompt(self) -> Any:
        """Return what the decoder is asked to speak."""
        assert self.script is not None, "it was not prepared"
        return self.script.prompt(self.seed)

    def places(self) -> Places | None:
        """Return where in the text the speech of the last attempt is; None if the model does not say so."""
        if self.text_positions is None:
            return None
        assert self.script is not None, "it was not prepared"
        return self.script.places(self.tokens, self.text_positions)

    @property
    def usage(self) -> Usage:
        """What it has cost."""
        return Usage(decode_s=self.decode_s, render_s=self.render_s)
