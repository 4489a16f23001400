"""Speech to words on the CPU, on a few threads of its own (faster-whisper). Knows nothing of what was to be said.

The model is loaded when the first take comes: a worker that nobody asks for it does not pay for it.
"""

from __future__ import annotations

import importlib
import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from worker.errors import EngineUnavailableError
from worker.quality.asr.comparison import compare
from worker.quality.finding import Finding

logger = logging.getLogger(__name__)

#: What Whisper hears.
RATE_HZ: Final = 16_000


class Recognizer:
    """One model on `num_threads` threads. Safe for use from many threads."""

    def __init__(self, model_dir: Path, *, num_threads: int) -> None:
        """Take the folder of a CTranslate2 model; nothing is loaded yet."""
        self._model_dir = model_dir
        self._num_threads = num_threads
        self._pool = ThreadPoolExecutor(num_threads, thread_name_prefix="asr")
        self._lock = threading.Lock()
        self._model: Any = None

    def understands(self, language: str) -> bool:
        """Return whether the model was trained on a language; for another than English it is loaded to be asked.

        Raises:
            EngineUnavailableError: the model cannot be loaded.
        """
        return language == "en" or language in self._loaded().supported_languages

    def submit(
        self, pcm: NDArray[np.float32], rate_hz: int, *, text: str, language: str
    ) -> Future[tuple[Finding, ...]]:
        """Queue a take [num_samples] float32; see `worker.quality.gate.Hearing.submit`."""
        return self._pool.submit(lambda: compare(text, self.transcribe(pcm, rate_hz, language), language))

    def transcribe(self, pcm: NDArray[np.float32], rate_hz: int, language: str) -> str:
        """Return the words in samples [num_samples] float32.

        Raises:
            EngineUnavailableError: the model cannot be loaded.
        """
        pieces, _ = self._loaded().transcribe(
            resampled(pcm, rate_hz, RATE_HZ),
            language=language,
            beam_size=1,
            # A second try at another temperature makes up words where nothing can be understood.
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return " ".join(piece.text.strip() for piece in pieces)

    def close(self) -> None:
        """Take no more; what waits is cancelled."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _loaded(self) -> Any:
        with self._lock:
            if self._model is None:
                try:
                    whisper = importlib.import_module("faster_whisper")
                    self._model = whisper.WhisperModel(
                        str(self._model_dir),
                        device="cpu",
                        compute_type="int8",
                        cpu_threads=1,
                        num_workers=self._num_threads,
                        local_files_only=True,
                    )
                except Exception as error:
                    reason = f"it waits for a worker with speech recognition; here it fails: {type(error).__name__}"
                    raise EngineUnavailableError(reason) from error
                logger.info("recognizer_loaded", extra={"num_threads": self._num_threads})
            return self._model


def resampled(pcm: NDArray[np.float32], rate_hz: int, wanted_hz: int) -> NDArray[np.float32]:
    """Return samples [num_samples] float32 at another rate: the spectrum is cut off or filled up with zeros."""
    if rate_hz == wanted_hz:
        return pcm
    length = round(len(pcm) * wanted_hz / rate_hz)
    spectrum = np.fft.rfft(pcm.astype(np.float32))
    wanted = np.zeros(length // 2 + 1, spectrum.dtype)
    shared = min(len(spectrum), len(wanted))
    wanted[:shared] = spectrum[:shared]
    return (np.fft.irfft(wanted, length) * (length / len(pcm))).astype(np.float32)
