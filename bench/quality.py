"""How many spoiled takes the quality gate finds, and how many good ones it doubts: `python bench/quality.py`.

Real speech of the draft voice, spoiled in the ways of `bench.injected.faults`. The thresholds were chosen with
`--set tuning`; what is reported comes from other sentences, other words and other random numbers. With `--asr N` the
first N takes are also listened to by the recognizer, which takes about a second each.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bench.injected.faults import CONDITIONS, FAULTS, HARD_FAULTS, Fault, Samples
from bench.injected.sentences import Sentences
from bench.record import ROOT, write_result
from worker.quality.examiner import Examiner, Verdict
from worker.quality.gate import Hearing
from worker.quality.hearing import find_hearing
from worker.text import split

RATE_HZ: Final = 24_000
STORY: Final = ROOT / "examples" / "texts" / "the-lamp-at-hollow-point.txt"
#: Set -> seed of its sentences and faults.
SEEDS: Final = {"tuning": 1, "report": 2}


@dataclass(frozen=True, slots=True)
class Spoken:
    """A take and what it says."""

    text: str
    pcm: Samples


def main() -> None:
    """Measure and write `bench/results/quality.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=sorted(SEEDS), default="report")
    parser.add_argument("--takes", type=int, default=400, help="intact takes in each condition")
    parser.add_argument("--faulty", type=int, default=200, help="takes that are spoiled in each way")
    parser.add_argument("--asr", type=int, default=0, help="takes that are also listened to")
    options = parser.parse_args()
    seed = SEEDS[options.set]
    takes = spoken_by_the_draft_voice(Sentences(seed, vocabulary=options.set).take(options.takes), seed)
    result: dict[str, Any] = {"set": options.set, "seconds_of_speech": round(sum(len(t.pcm) for t in takes) / RATE_HZ)}
    for name, condition in CONDITIONS.items():
        result[name] = by_signal(_in(condition, takes, seed), options.faulty, seed)
        print(name, result[name], flush=True)
    result["story"] = on_prose(seed)
    result["not_learned"] = before_anything_was_learned(takes[: options.faulty], seed)
    result["cost"] = cost(takes)
    print(result["story"], result["not_learned"], result["cost"], flush=True)
    name = "quality" if options.set == "report" else f"quality_{options.set}"
    if options.asr:
        write_result(name, result)  # the rest takes long
        result["asr"] = by_ear(takes, options.asr, seed)
        print(result["asr"], flush=True)
    print(write_result(name, result))


def spoken_by_the_draft_voice(texts: Sequence[str], seed: int) -> list[Spoken]:
    """Return the texts as takes."""
    from hibari import Hibari

    voice = Hibari(threads=1)
    return [Spoken(text, np.asarray(voice(text, seed=seed + at), np.float32)) for at, text in enumerate(texts)]


def by_signal(takes: Sequence[Spoken], num_faulty: int, seed: int) -> dict[str, Any]:
    """Return what the signal checks find; they learn the voice from the intact takes, which come first."""
    examiner = Examiner()
    doubted = Counter[str]()
    num_doubted = 0
    for take in takes:
        flags = examine(examiner, take.pcm, take.text).flags
        num_doubted += bool(flags)
        doubted.update(flags)
    found = {
        name: _found(examiner, fault, takes[-num_faulty:], _generator(seed, name))
        for name, fault in {**FAULTS, **HARD_FAULTS}.items()
    }
    return {**_share("false_alarms", num_doubted, len(takes)), "doubted_for": dict(doubted), **_total(found)}


def on_prose(seed: int) -> dict[str, Any]:
    """Return the false alarms on a story, the voice not known before."""
    plan = split(STORY.read_text(), language="en", narration_id="0" * 26)
    texts = [segment.text for segment in plan.segments]
    takes = spoken_by_the_draft_voice(texts, seed)
    examiner = Examiner()
    flags = [examine(examiner, take.pcm, take.text).flags for take in takes]
    return {**_share("false_alarms", sum(map(bool, flags)), len(takes)), "doubted_for": dict(Counter(sum(flags, ())))}


def before_anything_was_learned(takes: Sequence[Spoken], seed: int) -> dict[str, Any]:
    """Return what is found in a voice that was never heard: the first takes of a process."""
    found = {}
    for name, fault in FAULTS.items():
        rng = _generator(seed, name)
        flags = [examine(Examiner(), fault(take.pcm, RATE_HZ, rng), take.text).flags for take in takes]
        found[name] = _share("found", sum(map(bool, flags)), len(takes))
    num_doubted = sum(bool(examine(Examiner(), take.pcm, take.text).flags) for take in takes)
    return {**_share("false_alarms", num_doubted, len(takes)), **_total(found)}


def by_ear(takes: Sequence[Spoken], count: int, seed: int) -> dict[str, Any]:
    """Return what is found when each take is listened to as well, and by listening alone."""
    hearing, why = find_hearing(None, num_threads=1)
    if hearing is None:
        raise SystemExit(f"no recognizer: {why}")
    examiner = Examiner()
    for take in takes:
        examine(examiner, take.pcm, take.text)
    chosen = takes[-count:]
    intact = [_both(examiner, hearing, take.pcm, take.text) for take in chosen]
    result = {
        **_share("false_alarms", sum(any(pair) for pair in intact), count),
        "false_alarms_by_ear": sum(ear for _, ear in intact),
    }
    found: dict[str, dict[str, Any]] = {}
    for name, fault in {**FAULTS, **HARD_FAULTS}.items():
        rng = _generator(seed, name)
        spoiled = [(fault(take.pcm, RATE_HZ, rng), take.text) for take in chosen[: max(1, count // 2)]]
        pairs = [_both(examiner, hearing, pcm, text) for pcm, text in spoiled if np.isfinite(pcm).all()]
        if pairs:
            found[name] = {
                **_share("found", sum(any(pair) for pair in pairs), len(pairs)),
                "by_signal": sum(signal for signal, _ in pairs),
                "by_ear": sum(ear for _, ear in pairs),
            }
    return {**result, **_total(found)}


def cost(takes: Sequence[Spoken]) -> dict[str, float]:
    """Return what the signal checks take of one core, in milliseconds for a second of speech."""
    examiner = Examiner()
    begun_s = time.process_time()
    for take in takes[:100]:
        examine(examiner, take.pcm, take.text)
    speech_s = sum(len(take.pcm) for take in takes[:100]) / RATE_HZ
    return {"signal_ms_per_second_of_speech": round(1000 * (time.process_time() - begun_s) / speech_s, 2)}


def examine(examiner: Examiner, pcm: Samples, text: str) -> Verdict:
    """Return what the signal checks say of a take of the draft voice."""
    return examiner.examine(pcm, RATE_HZ, text=text, language="en", voice="draft")


def _both(examiner: Examiner, hearing: Hearing, pcm: Samples, text: str) -> tuple[bool, bool]:
    signal = examine(examiner, pcm, text).flags
    return bool(signal), bool(hearing.submit(pcm, RATE_HZ, text=text, language="en").result())


def _found(examiner: Examiner, fault: Fault, takes: Sequence[Spoken], rng: np.random.Generator) -> dict[str, Any]:
    flags = [examine(examiner, fault(take.pcm, RATE_HZ, rng), take.text).flags for take in takes]
    return {**_share("found", sum(map(bool, flags)), len(takes)), "flags": dict(Counter(sum(flags, ())))}


def _total(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the faults one by one, and what the figure is about: all of them but the hard ones together."""
    counted = [of_fault for name, of_fault in found.items() if name in FAULTS]
    num = sum(of_fault["num"] for of_fault in counted)
    return {
        "all_faults": _share("found", sum(of_fault["found"] for of_fault in counted), num),
        "least_found": min(of_fault["found_percent"] for of_fault in counted),
        "faults": dict(found),
    }


def _share(name: str, count: int, num: int) -> dict[str, Any]:
    return {name: count, "num": num, f"{name}_percent": round(100 * count / num, 2)}


def _in(condition: Fault, takes: Sequence[Spoken], seed: int) -> list[Spoken]:
    rng = _generator(seed, "condition")
    return [Spoken(take.text, condition(take.pcm, RATE_HZ, rng)) for take in takes]


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


if __name__ == "__main__":
    main()
