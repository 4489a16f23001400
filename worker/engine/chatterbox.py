"""The Chatterbox engine: our models, loaded from verified files, one segment at a time.

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
from worker.engine.request import SegmentRequest, Take, segment_seed
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
from worker.models.checkpoint import check_folder, revision
from worker.models.device import choose_device
from worker.models.lockedmodel import load_locked
from worker.models.precision import Precision, PrecisionChoice, choose_precision
from worker.models.watermark import MIN_DETECTION, detect_watermark
from worker.models.weights import Verification

logger = logging.getLogger(__name__)

SAMPLE_RATE_HZ: Final = 24_000

#: Seeds that a segment is tried with while the model does not come to an end or says nothing. The sampler goes astray
#: now and then; the same seed would go astray in the same way.
MAX_SEEDS: Final = 3

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
        cache_dir: Path,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        precision: PrecisionChoice = "auto",
        verification: Verification = Verification.FULL,
        is_lock_required: bool = False,
        num_threads: int = 1,
        max_cached_voices: int = 8,
    ) -> None:
        """Take where the weights are.

        Args:
            model_dir: folder with the files of the English model, of the multilingual one, or of both.
            cache_dir: where T3 in int8 is kept if the folder cannot be written to or has no lock.
            device: where the models go.
            precision: of T3's weights.
            verification: how the files are compared with their lock.
            is_lock_required: refuse a folder without a lock; else it is loaded with a warning.
            num_threads: CPU cores that one segment is spread over; no matter on CUDA.
            max_cached_voices: voices that each model keeps ready.
        """
        self._model_dir = model_dir
        self._cache_dir = cache_dir
        self._device = device
        self._wanted_precision = precision
        self._precision: Precision | None = None
        self._verification = verification
        self._is_lock_required = is_lock_required
        self._num_threads = num_threads
        self._max_cached_voices = max_cached_voices
        self._speakers: dict[ModelName, Speaker] = {}
        self._revisions: dict[ModelName, str] = {}
        self._executor = SegmentExecutor(self._speak, num_threads=1, name="chatterbox-engine")

    def load(self) -> None:
        """Check the folder and load its models.

        Raises:
            ModelLoadError: naming the file, what is wrong and what to do; or int8 does not run on the device.
            WatermarkError: if the models would speak without a watermark.
        """
        device = choose_device(self._device)
        self._precision = choose_precision(self._wanted_precision, device)
        # Both warn at every turn, and could quote what they are given.
        for noisy in ("chatterbox", "transformers"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        if device == "cpu":
            torch.set_num_threads(self._num_threads)
        for model in check_folder(self._model_dir):
            self._speakers[model] = self._load(model, device, self._precision)
        self._executor.start()

    def _load(self, model: ModelName, device: Literal["cpu", "cuda"], precision: Precision) -> Speaker:
        started_s = time.monotonic()
        loaded = load_locked(
            model,
            self._model_dir,
            device,
            precision=precision,
            cache_dir=self._cache_dir,
            verification=self._verification,
            is_lock_required=self._is_lock_required,
        )
        self._revisions[model] = revision(self._model_dir, model)
        facts = {"model": model.value, "precision": precision, "device": device, "revision": self._revisions[model]}
        logger.info("model_loaded", extra={**facts, "load_s": round(time.monotonic() - started_s, 2)})
        return Speaker(loaded, max_cached_voices=self._max_cached_voices)

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
            found = detect_watermark(speaker.model.watermarker, take.pcm, take.sample_rate_hz)
            if found < MIN_DETECTION:
                raise WatermarkError(
                    f"the watermark is not in what the {model.value} model speaks: the detector gives {found:.2f}, "
                    f"less than {MIN_DETECTION}"
                )

    def identity(self, model: ModelName) -> str:
        """Return engine, package version, model, content of its files, and the precision that T3 is in.

        Raises:
            EngineUnavailableError: if the folder does not hold that model.
        """
        self._speaker(model)
        return f"chatterbox-{version('chatterbox-tts')}/{model.value}/{self._revisions[model]}/{self._precision}"

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


def seeds_of(request: SegmentRequest) -> list[int]:
    """Return the seeds that a segment is tried with, its own first; they follow from it, so takes stay reproducible."""
    return [request.seed, *(segment_seed(request.seed, f"again {number}") for number in range(1, MAX_SEEDS))]
