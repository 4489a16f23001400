"""One audio object for each chapter, written while the whole goes by. Knows nothing of segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from producer.contract.manifest import AudioObject
from worker.audio.audiofile import AudioFile
from worker.audio.trimming import Span


class ChapterFiles:
    """Takes the samples of the whole and gives each to the file of its chapter; one file is open at a time."""

    def __init__(self, chapters: Sequence[Span], open_file: Callable[[int], AudioFile]) -> None:
        """Make a set of files.

        Args:
            chapters: where each lies in the whole; they follow each other. Empty ones get no file.
            open_file: opens the file of a chapter.
        """
        self._left = [(index, span) for index, span in enumerate(chapters) if span.num_samples]
        self._open_file = open_file
        self._position = 0
        self._file: AudioFile | None = None
        #: Index of the chapter -> its object, of those that are whole.
        self.stored: dict[int, AudioObject] = {}

    def write(self, pcm: NDArray[np.int16]) -> None:
        """Write the next samples of the whole, [num_samples] int16."""
        while self._left and len(pcm):
            index, span = self._left[0]
            if self._file is None:
                self._file = self._open_file(index)
            num_own = span.start_samples + span.num_samples - self._position
            self._file.write(pcm[:num_own])
            self._position += len(pcm[:num_own])
            if num_own <= len(pcm):
                self._finish(index)
            pcm = pcm[num_own:]

    def _finish(self, index: int) -> None:
        file, self._file = self._file, None
        assert file is not None
        with file:
            pass
        self.stored[index] = file.facts()
        del self._left[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.__exit__(kind, error, trace)
