"""A decoder, a renderer and a preparation that speak no words: lengths and faults are written in the text.

They keep the Protocols of `worker.engine.batching.ports` and check, at every call, that the engine does too.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producer.contract.narration import ModelName, Parameters
from producer.contract.routing import Priority
from worker.engine.batching.decodepolicy import DecodePolicy
from worker.engine.batching.loop import BatchingLoop
from worker.engine.batching.ports import Places
from worker.engine.batching.settling import Sound
from worker.engine.request import SegmentRequest, seeds_of
from worker.errors import NoSpeechError, SegmentUnspeakableError, SynthesisError

RATE_HZ = 100
#: Samples of audio per token of the fake renderer.
SAMPLES_PER_TOKEN = 4


class FullError(RuntimeError):
    """The fake device has no memory for this."""


class BrokenError(RuntimeError):
    """The fake device will never work again."""


@dataclass(frozen=True)
class Behaviour:
    """How a segment turns out; written into its text."""

    num_tokens: int = 5
    num_rows: int = 2
    #: With so many of its seeds the model does not stop, or says nothing, or its logits are not finite; in this order.
    num_endless: int = 0
    num_silent: int = 0
    num_broken: int = 0
    #: Where it makes every batch that it is in fail: prepare, admit, step, render; or has no audio by itself: bad, nan.
    poison: str = ""
    is_suspect: bool = False
    #: Whether the decoder says where in the text the tokens are: at their own number.
    is_watched: bool = False
    name: int = 0


def segment(
    behaviour: Behaviour | None = None, *, priority: Priority = Priority.NORMAL, **fields: Any
) -> SegmentRequest:
    """Return a request for a segment that behaves so."""
    behaviour = replace(behaviour or Behaviour(), **fields)
    return SegmentRequest(
        json.dumps(asdict(behaviour)),
        "en",
        ModelName.ENGLISH,
        None,
        Parameters(),
        seed=7,
        priority=priority,
        is_suspect=behaviour.is_suspect,
    )


def sound_of(behaviour: Behaviour, seed: int) -> NDArray[np.float32]:
    """Return what such a segment must sound like, whatever is spoken beside it."""
    num_samples = behaviour.num_tokens * SAMPLES_PER_TOKEN
    return np.full(num_samples, (seed % 1000 + behaviour.name) / 10_000, np.float32)


@dataclass
class FakeDevice:
    num_releases: int = 0

    def is_fault(self, error: BaseException) -> bool:
        return isinstance(error, BrokenError)

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, FullError)

    def release_memory(self) -> None:
        self.num_releases += 1

    def used_bytes(self) -> int:
        return 1_000


@dataclass(frozen=True)
class FakePrompt:
    behaviour: Behaviour
    seed: int
    attempt: int


@dataclass(frozen=True)
class FakeSpeech:
    behaviour: Behaviour
    seed: int

    @property
    def num_frames(self) -> int:
        return 2 * self.behaviour.num_tokens


@dataclass(frozen=True)
class FakeScript:
    request: SegmentRequest

    @property
    def behaviour(self) -> Behaviour:
        return Behaviour(**json.loads(self.request.text))

    def prompt(self, seed: int) -> FakePrompt:
        return FakePrompt(self.behaviour, seed, seeds_of(self.request).index(seed))

    def speech(self, tokens: Sequence[int], seed: int) -> FakeSpeech:
        if not tokens:
            raise NoSpeechError("nothing was said")
        assert len(tokens) == self.behaviour.num_tokens
        return FakeSpeech(self.behaviour, seed)

    def places(self, tokens: Sequence[int], text_positions: Sequence[int]) -> Places:
        assert len(tokens) == len(text_positions)
        return Places(np.array(text_positions), None)


@dataclass
class FakePreparation:
    prepared: list[int] = field(default_factory=list)

    def prepare(self, request: SegmentRequest) -> FakeScript:
        script = FakeScript(request)
        self.prepared.append(script.behaviour.name)
        if script.behaviour.poison == "prepare":
            raise SegmentUnspeakableError("it cannot be prepared")
        if script.behaviour.poison == "crash":
            raise ValueError(request.text)
        return script


@dataclass(frozen=True)
class FakeSpoken:
    slot: int
    tokens: list[int]
    has_ended: bool
    is_finite: bool
    text_positions: list[int] | None = None


@dataclass
class FakeDecoder:
    """Speaks a token per step in each slot."""

    num_slots: int = 4
    #: More prompts than this in one call, or more slots than this in one step, do not fit into memory.
    most_prompts: int = 1_000
    most_live: int = 1_000
    max_tokens: int = 30
    #: Called before each admission and step; may raise, wait, or note.
    on_call: Callable[[str], None] = lambda call: None
    live: dict[int, FakePrompt] = field(default_factory=dict)
    spoken: dict[int, int] = field(default_factory=dict)
    #: (name, attempt) in the order of admission, batch by batch.
    batches: list[list[FakePrompt]] = field(default_factory=list)

    def fits(self, prompt: FakePrompt) -> str | None:
        return "it is too long" if prompt.behaviour.poison == "fits" else None

    def can_admit(self, prompts: Sequence[FakePrompt]) -> bool:
        rows = sum(prompt.behaviour.num_rows for prompt in [*self.live.values(), *prompts])
        return rows <= 2 * self.num_slots

    def admit(self, prompts: Sequence[FakePrompt]) -> list[int]:
        assert prompts
        assert self.can_admit(prompts)
        self.on_call("admit")
        if any(prompt.behaviour.is_suspect for prompt in [*self.live.values(), *prompts]):
            assert len(self.live) + len(prompts) == 1, "a suspect is not alone"
        if len(prompts) > self.most_prompts:
            raise FullError
        if any(prompt.behaviour.poison == "admit" for prompt in prompts):
            raise ValueError("a prompt is poisoned")
        free = [slot for slot in range(2 * self.num_slots) if slot not in self.live]
        slots = free[: len(prompts)]
        for slot, prompt in zip(slots, prompts, strict=True):
            self.live[slot], self.spoken[slot] = prompt, 0
        self.batches.append(list(prompts))
        return slots

    def step(self, num_steps: int = 1) -> None:
        assert self.live
        self.on_call("step")
        if len(self.live) > self.most_live:
            raise FullError
        for slot, prompt in self.live.items():
            self.spoken[slot] += num_steps
            if prompt.behaviour.poison == "step":
                raise ValueError("a slot is poisoned")

    def poll(self, *, is_blocking: bool = False) -> list[FakeSpoken]:
        ended = [spoken for slot, prompt in self.live.items() if (spoken := self._ended(slot, prompt))]
        self.release([spoken.slot for spoken in ended])
        return ended

    def _ended(self, slot: int, prompt: FakePrompt) -> FakeSpoken | None:
        behaviour, num_spoken = prompt.behaviour, self.spoken[slot]
        if prompt.attempt < behaviour.num_endless:
            is_over = num_spoken >= self.max_tokens
            return FakeSpoken(slot, [1] * self.max_tokens, has_ended=False, is_finite=True) if is_over else None
        if prompt.attempt < behaviour.num_endless + behaviour.num_silent:
            return FakeSpoken(slot, [], has_ended=True, is_finite=True)
        if num_spoken < behaviour.num_tokens:
            return None
        is_finite = prompt.attempt >= behaviour.num_endless + behaviour.num_silent + behaviour.num_broken
        positions = list(range(behaviour.num_tokens)) if behaviour.is_watched else None
        return FakeSpoken(slot, [1] * behaviour.num_tokens, True, is_finite, positions)

    def release(self, slots: Sequence[int]) -> None:
        for slot in slots:
            del self.live[slot]


@dataclass
class FakeRenderer:
    max_frames_per_batch: int = 40
    #: More frames than this in one call do not fit into memory.
    most_frames: int = 1_000
    on_call: Callable[[str], None] = lambda call: None
    batches: list[list[FakeSpeech]] = field(default_factory=list)
    rendering: list[FakeSpeech] = field(default_factory=list)

    def render(self, speeches: Sequence[FakeSpeech]) -> list[NDArray[np.float32] | SynthesisError]:
        assert speeches
        self.rendering = list(speeches)
        self.on_call("render")
        self.batches.append(list(speeches))
        if sum(speech.num_frames for speech in speeches) > self.most_frames:
            raise FullError
        if any(speech.behaviour.poison == "render" for speech in speeches):
            raise ValueError("a speech is poisoned")
        return [self._sound(speech) for speech in speeches]

    def _sound(self, speech: FakeSpeech) -> NDArray[np.float32] | SynthesisError:
        if speech.behaviour.poison == "bad":
            return SynthesisError("it has no sound")
        sound = sound_of(speech.behaviour, speech.seed)
        return sound * np.float32(np.nan) if speech.behaviour.poison == "nan" else sound


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Bench:
    """An engine on fakes whose turns the test takes itself; no threads, no time that passes by itself."""

    decoder: FakeDecoder = field(default_factory=FakeDecoder)
    renderer: FakeRenderer = field(default_factory=FakeRenderer)
    policy: DecodePolicy = field(default_factory=lambda: DecodePolicy(steps_per_turn=2))
    clock: Any = field(default_factory=FakeClock)
    device: FakeDevice = field(default_factory=FakeDevice)
    preparation: FakePreparation = field(default_factory=FakePreparation)

    def __post_init__(self) -> None:
        self.loop = BatchingLoop(
            preparation=self.preparation,
            decoder=self.decoder,
            renderers=[self.renderer],
            device=self.device,
            sound=Sound(RATE_HZ, is_watermarked=True),
            policy=self.policy,
            clock=self.clock,
        )
        self.stages = [self.loop.preparing, self.loop.decoding, *self.loop.renderings, self.loop.settling]
        self.is_broken = False
        self.loop.open()
        check = self.renderer.on_call

        def check_alone(call: str) -> None:
            check(call)
            if any(speech.behaviour.is_suspect for speech in self.renderer.rendering):
                assert len(self.renderer.rendering) == 1
                assert self.decoder.live == {}

        self.renderer.on_call = check_alone

    def turn(self, number: int) -> bool:
        """Have one stage take a turn, as its thread would; return whether it wants another one at once."""
        if self.is_broken:
            return False
        try:
            wait_s = self.stages[number].turn()
        except Exception as error:  # noqa: BLE001 - as in StageThread
            self.loop.break_down(error)
            self.is_broken = True
            return False
        return wait_s == 0.0

    def run(self, *, max_rounds: int = 3_000) -> None:
        """Take turns until nothing is left to do; a tenth of a second passes in each round."""
        for _ in range(max_rounds):
            self.clock.now_s += 0.05
            wants_more = [self.turn(number) for number in range(len(self.stages))]
            has_work = any(len(stage.inbox) for stage in self.stages) or self.loop.render_queue.num_rendering
            if self.is_broken or not (any(wants_more) or has_work):
                return
        raise AssertionError("the engine does not come to an end")


class Gate:
    """Stops whoever passes until the test lets go; for tests with the real threads."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, call: str) -> None:
        if call == self._name:
            self.reached.set()
            assert self.go_on.wait(10.0)
