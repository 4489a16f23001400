"""Errors on their way from an engine process to its worker process: same class, same words, nothing of a text.

Knows nothing of channels.
"""

from __future__ import annotations

import pickle
import traceback

from producer.contract.errors import ChatterqueueError
from worker.engine.executor import place_of
from worker.errors import SynthesisError


def of_segment(error: BaseException) -> ChatterqueueError:
    """Return what a segment's future ends with elsewhere: an error of ours, or the place of any other.

    The words of an error that is not ours may quote the text.
    """
    if isinstance(error, ChatterqueueError) and _is_portable(error):
        return error
    return SynthesisError(f"the engine failed: {place_of(error)}")


def of_start(error: BaseException) -> BaseException:
    """Return what making, loading or warming up an engine ends with elsewhere; where it was raised goes along.

    Classes that are not ours stay behind, because to receive one is to import its package: torch, perhaps.
    """
    is_ours = isinstance(error, ChatterqueueError) and _is_portable(error)
    portable = error if is_ours else RuntimeError(f"{type(error).__name__}: {error}")
    portable.add_note("in the engine process:\n" + "".join(traceback.format_exception(error)).rstrip())
    return portable


def _is_portable(error: ChatterqueueError) -> bool:
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    except Exception:  # noqa: BLE001 - an error of ours that breaks its own rules says so in many ways
        return False
    return type(copy) is type(error) and bool(copy.args == error.args)
