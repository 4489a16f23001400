"""The Chatterbox engine: the stock models, one segment at a time, in full precision.

Knows nothing of Celery or the ledger. Importing it imports torch and chatterbox-tts.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import torch  # noqa: TID253 - worker.engine.selection imports this module when the engine is wanted

from producer.contract.narration import EngineName, ModelName, Parameters
from worker.engine.executor import SegmentExecutor
from worker.engine.protocol import EngineHealth
from worker.engine.request import SegmentRequest, Take, seeds_of
from worker.engine.speaker import Speaker
from worker.errors import (
    EngineUnavailableError,
    LanguageUnsupportedError,
    ModelLoadError,
    NoEndOfSpeechError,
    NoSpeechError,
    SynthesisError,
    WatermarkError,
)
from worker.models.chatterbox import load_model
from worker.models.checkpoint import check_folder, revision
from worker.models.device import choose_device
from worker.models.watermark import MIN_DETECTION, detect_watermark

logger = logging.getLogger(__name__)

SAMPLE_RATE_HZ: Final = 24_000

_WARM_UP_TEXT: Final = "Ready to read."


class ChatterboxEngine:
    """Speaks with every model that its folder holds, on one thread of its own."""

    name = EngineName.CHATTERBOX
    sample_rate_hz = SAMPLE_RATE_HZ
    is_watermarked = True
    num_slots = 1

    def __init__(
        self,
        model_dir: Path,
        *,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        num_threads: int = 1,
        max_cached_voices: int = 8,
    ) -> None:
        """Take where the weights are.

        Args:
            model_dir: folder with the files of the English model, of the multilingual one, or of both.
            device: where the models go.
            num_threads: CPU cores that one segment is spread over; no matter on CUDA.
            max_cached_voices: voices that each model keeps ready.
        """
        self._model_dir = model_dir
        self._device = device
        self._num_threads = num_threads
        self._max_cached_voices = max_cached_voices
        self._speakers: dict[ModelName, Speaker] = {}
        self._revisions: dict[ModelName, str] = {}
        self._executor = SegmentExecutor(self._speak, num_threads=1, name="chatterbox-engine")

    def load(self) -> None:
        """Check the folder and load its models.

        Raises:
            ModelLoadError: naming the file, what is wrong and what to do.
            WatermarkError: if the models would speak without a watermark.
        """
        models = check_folder(self._model_dir)
        device = choose_device(self._device)
        if device == "cpu":
            torch.set_num_threads(self._num_threads)
        for model in models:
            self._revisions[model] = revision(self._model_dir, model)
            loaded = load_model(self._model_dir, model, device)
            self._speakers[model] = Speaker(loaded, model, max_cached_voices=self._max_cached_voices)
        self._executor.start()

    def warm_up(self) -> None:
        """Speak once with each model, on the thread that will speak, and find the watermark in it.

        Raises:
            ModelLoadError: if a model cannot speak.
            WatermarkError: if the watermark is not in the audio.
        """
        for model, speaker in self._speakers.items():
            request = SegmentRequest(_WARM_UP_TEXT, "en", model, None, Parameters(), seed=0)
            try:
                take = self.submit(request).result()
            except SynthesisError as error:
                raise ModelLoadError(f"the {model.value} model in {self._model_dir} cannot speak: {error}") from error
            found = detect_watermark(speaker.watermarker, take.pcm, take.sample_rate_hz)
            if found < MIN_DETECTION:
                raise WatermarkError(
                    f"the watermark is not in what the {model.value} model speaks: the detector gives {found:.2f}, "
                    f"less than {MIN_DETECTION}"
                )

    def identity(self, model: ModelName) -> str:
        """Return engine, package version, model, content of its files, and precision.

        Raises:
            EngineUnavailableError: if the folder does not hold that model.
        """
        self._speaker(model)
        return f"chatterbox-{version('chatterbox-tts')}/{model.value}/{self._revisions[model]}/fp32"

    def submit(self, request: SegmentRequest) -> Future[Take]:
        """Queue a segment; see `worker.engine.protocol.Engine.submit`."""
        speaker = self._speaker(request.model)
        if request.language not in speaker.languages:
            raise LanguageUnsupportedError(self._why_not(request))
        return self._executor.submit(request)

    def health(self) -> EngineHealth:
        """Return how it does."""
        return self._executor.health()

    def close(self, timeout_s: float) -> None:
        """Take no more segments, wait for the one being spoken, let the models go."""
        self._executor.close(timeout_s)
        self._speakers.clear()

    def _speaker(self, model: ModelName) -> Speaker:
        speaker = self._speakers.get(model)
        if speaker is None:
            raise EngineUnavailableError(f"this worker does not have the {model.value} model")
        return speaker

    def _why_not(self, request: SegmentRequest) -> str:
        if request.model is ModelName.MULTILINGUAL and request.language == "zh":
            return (
                "Chinese needs Cangjie5_TC.json in the model folder and the segmenter model of spacy-pkuseg "
                "on this machine"
            )
        return f"the {request.model.value} model does not speak {request.language!r}"

    def _speak(self, request: SegmentRequest) -> Take:
        started_s = time.monotonic()
        speaker = self._speaker(request.model)
        for seed in seeds_of(request):
            try:
                pcm = speaker.speak(replace(request, seed=seed))
            except (NoEndOfSpeechError, NoSpeechError) as error:
                logger.info("take_discarded", extra={"code": error.code, "seed": seed})
                astray = error
            else:
                return Take(
                    pcm=pcm,
                    sample_rate_hz=SAMPLE_RATE_HZ,
                    seed=seed,
                    synthesis_s=time.monotonic() - started_s,
                    is_watermarked=True,
                )
        raise astray
