"""A farm of one worker without processes or messages: a test says which item is worked on, and when.

The use cases, the engine (tone), the ledger and the bucket are the real ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from narrating import Farm, sentences

from producer.contract.narration import Narration
from producer.contract.routing import Priority
from producer.contract.settings import Settings
from producer.ledger import Ledger
from worker.audio import assemble
from worker.codec import SegmentCodec
from worker.engine.request import SegmentRequest
from worker.engine.tone import ToneEngine
from worker.engineset import EngineSet
from worker.narration.assembling import Assembler
from worker.narration.attempt import Attempts
from worker.narration.drain import Drain
from worker.narration.lease import LeaseBook
from worker.narration.planning import Planner
from worker.narration.recipe import RecipeShelf
from worker.narration.synthesis import Synthesizer
from worker.quality import Gate
from worker.text import split
from worker.voices import VoiceShelf

WORKER = "by-hand"


class CountingTone(ToneEngine):
    """Remembers what it spoke."""

    def __init__(self) -> None:
        super().__init__(segment_s=0.0, num_threads=1)
        self.spoken: list[str] = []

    def submit(self, request: SegmentRequest):
        self.spoken.append(request.text)
        return super().submit(request)


class _NoMessenger:
    """Sends nothing: the test knows what is due."""

    def send_segments(self, narration_id: str, items: Sequence[str], priority: Priority, sent_ms: int) -> None: ...

    def send_assemble(self, narration_id: str, sent_ms: int) -> None: ...


class HandFarm(Farm):
    """A farm whose worker is this process."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        super().__init__(settings)
        self.ledger = Ledger(self.redis, settings, lease_s=30.0, window=8)
        self.engine = CountingTone()
        engines = EngineSet(self.engine, {})
        engines.load_primary()
        self.engine.spoken.clear()  # the warm-up
        attempts = Attempts(
            ledger=self.ledger,
            messenger=_NoMessenger(),
            book=LeaseBook(),
            drain=Drain(0.0),
            worker=WORKER,
            end_process=lambda reason: None,
        )
        self.planner = Planner(attempts=attempts, ledger=self.ledger, store=self.store, split=split)
        self.synthesizer = Synthesizer(
            attempts=attempts,
            ledger=self.ledger,
            store=self.store,
            engines=engines,
            voices=VoiceShelf(self.store, folder),
            recipes=RecipeShelf(self.store),
            codec=SegmentCodec(),
            gate=Gate(max_retakes=0),
            worker=WORKER,
        )
        self.assembler = Assembler(attempts=attempts, ledger=self.ledger, store=self.store, assemble=assemble)

    def enter(self, num_segments: int = 3, **fields: object) -> str:
        """Hand in a narration and return its id."""
        narration = Narration(text=sentences(num_segments), engine="tone", format="flac", **fields)
        return self.submit(narration, is_sent=False)[0]

    def begin(self, num_segments: int = 3, num_done: int = 0, **fields: object) -> str:
        """Hand in a narration, split it and speak its first segments."""
        narration_id = self.enter(num_segments, **fields)
        self.planner.run(narration_id)
        self.speak(narration_id, range(num_done))
        return narration_id

    def speak(self, narration_id: str, indexes: Iterable[int]) -> None:
        """Speak segments; those that are not due are left alone."""
        for index in indexes:
            self.synthesizer.run(narration_id, index)

    def finish(self, num_segments: int = 3, **fields: object) -> str:
        """Hand in a narration and do all of it."""
        narration_id = self.begin(num_segments, num_segments, **fields)
        self.assembler.run(narration_id)
        return narration_id
