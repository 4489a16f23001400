"""The renderer on a CUDA stream of its own, so that decoding goes on meanwhile.

Knows nothing of what is rendered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch  # noqa: TID253 - imported with the engine that needs it
from numpy.typing import NDArray

from worker.engine.s3gen.renderer import Renderer
from worker.engine.s3gen.speech import Speech
from worker.errors import SynthesisError


class StreamedRenderer:
    """A `Renderer` whose every launch is on one stream, whichever thread calls."""

    def __init__(self, renderer: Renderer, stream: torch.cuda.Stream | None) -> None:
        """Take a renderer and the stream; without one, as on a CPU, it runs where it is called."""
        self._renderer = renderer
        self._stream = stream

    @property
    def max_frames_per_batch(self) -> int:
        """Mel frames beyond which a larger batch is no faster or does not fit."""
        return self._renderer.max_frames_per_batch

    def warm_up(self) -> None:
        """Compile kernels and capture graphs."""
        with self._entered():
            self._renderer.warm_up()

    def render(self, speeches: Sequence[Speech]) -> list[NDArray[np.float32] | SynthesisError]:
        """Return the audio of each speech, [S] float32, or why there is none; waits for the device."""
        with self._entered():
            return self._renderer.render(speeches)

    @contextmanager
    def _entered(self) -> Iterator[None]:
        if self._stream is not None:
            # A voice may have been made just now, on the stream that all threads share.
            self._stream.wait_stream(torch.cuda.default_stream())
        with torch.cuda.stream(self._stream):
            yield
