"""The Chatterbox engine: our models, loaded from verified files, many segments at a time.

Knows nothing of Celery or the ledger. Importing it imports torch and chatterbox-tts.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import torch  # noqa: TID253 - worker.engine.selection imports this module when the engine is wanted

from producer.contract.narration import EngineName, ModelName, Parameters
from worker.engine.batching.fitting import Fit
from worker.engine.capacity import find_capacity
from worker.engine.conditionalsshelf import ConditionalsShelf
from worker.engine.preparation import ChatterboxPreparation
from worker.engine.protocol import EngineHealth
from worker.engine.request import SegmentRequest, Take
from worker.engine.speaker import Speaker
from worker.engine.torchdevice import TorchDevice
from worker.errors import (
    DrainingError,
    EngineFaultError,
    EngineUnavailableError,
    LanguageUnsupportedError,
    ModelLoadError,
    SynthesisError,
    WatermarkError,
)
from worker.models.checkpoint import check_folder, find_models, revision
from worker.models.device import choose_device
from worker.models.lockedmodel import load_locked
from worker.models.precision import Precision, PrecisionChoice, choose_precision
from worker.models.watermark import MIN_DETECTION, detect_watermark
from worker.models.weights import Verification

logger = logging.getLogger(__name__)

SAMPLE_RATE_HZ: Final = 24_000

_WARM_UP_TEXT: Final = "Ready to read."


class ChatterboxEngine:
    """Speaks with every model that its folder holds, each with a loop of its own."""

    name = EngineName.CHATTERBOX
    sample_rate_hz = SAMPLE_RATE_HZ
    is_watermarked = True
    #: Benchmarks have another one, which says how long each segment is to be.
    preparation: type[ChatterboxPreparation] = ChatterboxPreparation

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
        max_slots: int | None = None,
        max_render_frames: int | None = None,
    ) -> None:
        """Take where the weights are.

        Args:
            model_dir: folder with the files of the English model, of the multilingual one, or of both.
            cache_dir: where voices are kept, and T3 in int8 if the folder cannot be written to or has no lock.
            device: where the models go.
            precision: of T3's weights.
            verification: how the files are compared with their lock.
            is_lock_required: refuse a folder without a lock; else it is loaded with a warning.
            num_threads: CPU cores that the work is spread over; no matter on CUDA.
            max_cached_voices: voices that each model keeps ready.
            max_slots: segments that each model decodes at once, at most; None: as many as fit into free memory.
            max_render_frames: mel frames that each model renders at once, at most; None: the same.
        """
        self._model_dir = model_dir
        self._cache_dir = cache_dir
        self._wanted_device = device
        self._wanted_precision = precision
        self._verification = verification
        self._is_lock_required = is_lock_required
        self._num_threads = num_threads
        self._max_cached_voices = max_cached_voices
        self._max_slots = max_slots
        self._max_render_frames = max_render_frames
        self._speakers: dict[ModelName, Speaker] = {}
        self._revisions: dict[ModelName, str] = {}
        self._is_closed = False

    @cached_property
    def _device(self) -> Literal["cpu", "cuda"]:
        return choose_device(self._wanted_device)

    @cached_property
    def _precision(self) -> Precision:
        return choose_precision(self._wanted_precision, self._device)

    @cached_property
    def _capacity(self) -> Fit:
        """What each model takes on by plan; found before the first is loaded."""
        return find_capacity(
            self._device,
            self._precision,
            self._model_dir,
            find_models(self._model_dir),
            max_slots=self._max_slots,
            max_frames=self._max_render_frames,
        )

    @property
    def num_slots(self) -> int:
        """How many segments a model works on at once. Several models take turns more often than not.

        Planned until it is warm; then there may be less room than was thought.
        """
        slots = [speaker.capacity.num_slots for speaker in self._speakers.values()]
        return min(slots) if slots else self._capacity.num_slots

    def load(self) -> None:
        """Check the folder and load its models.

        Raises:
            ModelLoadError: naming the file, what is wrong and what to do; or int8 does not run on the device.
            WatermarkError: if the models would speak without a watermark.
        """
        device, precision, capacity = self._device, self._precision, self._capacity
        # Both warn at every turn, and could quote what they are given.
        for noisy in ("chatterbox", "transformers"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        if device == "cpu":
            torch.set_num_threads(self._num_threads)
        for model in check_folder(self._model_dir):
            self._speakers[model] = self._load(model)
        facts = {"num_slots": capacity.num_slots, "max_render_frames": capacity.max_frames}
        logger.info("engine_fitted", extra={**facts, "precision": precision, "device": device})

    def _load(self, model: ModelName) -> Speaker:
        device, precision = self._device, self._precision
        started_s = time.monotonic()
        loaded = load_locked(
            model,
            self._model_dir,
            device,
            precision=precision,
            cache_dir=self._cache_dir,
            verification=self._verification,
            is_lock_required=self._is_lock_required,
            # The renderer has weights of its own; what is left to S3Gen is to make voices, once for each.
            rest_device="cpu",
        )
        self._revisions[model] = revision(self._model_dir, model)
        facts = {"model": model.value, "precision": precision, "device": device, "revision": self._revisions[model]}
        logger.info("model_loaded", extra={**facts, "load_s": round(time.monotonic() - started_s, 2)})
        return Speaker(
            loaded,
            device=device,
            precision=precision,
            capacity=self._capacity,
            max_cached_voices=self._max_cached_voices,
            name=f"chatterbox-{model.value}",
            shelf=ConditionalsShelf(self._cache_dir / "conditionals", self._voice_identity(model)),
            preparation=self.preparation,
        )

    def _voice_identity(self, model: ModelName) -> str:
        """Return what decides what a model makes of a recording: voices are made on the CPU, in full precision."""
        packages = f"chatterbox-{version('chatterbox-tts')}/torch-{torch.__version__}"
        return f"{packages}/{model.value}/{self._revisions[model]}"

    def warm_up(self) -> None:
        """Compile and capture, speak once with each model, and find the watermark in it.

        Raises:
            ModelLoadError: if a model cannot speak.
            WatermarkError: if the watermark is not in the audio.
            EngineFaultError: if the device broke; another process may do better.
        """
        for number, (model, speaker) in enumerate(self._speakers.items()):
            speaker.start(kept_bytes=self._kept_bytes(len(self._speakers) - number - 1))
            request = SegmentRequest(_WARM_UP_TEXT, "en", model, None, Parameters(), seed=0)
            try:
                take = self.submit(request).result()
            except EngineFaultError:
                raise
            except SynthesisError as error:
                raise ModelLoadError(f"the {model.value} model in {self._model_dir} cannot speak: {error}") from error
            found = detect_watermark(speaker.model.watermarker, take.pcm, take.sample_rate_hz)
            if found < MIN_DETECTION:
                raise WatermarkError(
                    f"the watermark is not in what the {model.value} model speaks: the detector gives {found:.2f}, "
                    f"less than {MIN_DETECTION}"
                )

    def _kept_bytes(self, num_others: int) -> int:
        """Return what of the free memory is that of models which have not been started: an equal share for each."""
        if self._device == "cpu":
            return 0
        return TorchDevice(self._device).free_bytes() * num_others // (num_others + 1)

    def identity(self, model: ModelName) -> str:
        """Return engine, package version, model, content of its files, and the precision that T3 is in.

        Raises:
            EngineUnavailableError: if the folder does not hold that model.
        """
        self._speaker(model)
        return f"chatterbox-{version('chatterbox-tts')}/{model.value}/{self._revisions[model]}/{self._precision}"

    def submit(self, request: SegmentRequest) -> Future[Take]:
        """Queue a segment; see `worker.engine.protocol.Engine.submit`."""
        if reason := self.why_not(request.model, request.language):
            raise LanguageUnsupportedError(reason)
        return self._speaker(request.model).submit(request)

    def why_not(self, model: ModelName, language: str) -> str | None:
        """Return in words why a model does not speak a language; None if it does.

        Raises:
            EngineUnavailableError: if the folder does not hold that model.
        """
        if language in self._speaker(model).languages:
            return None
        if model is ModelName.MULTILINGUAL and language == "zh":
            return (
                "Chinese needs Cangjie5_TC.json in the model folder and the segmenter model of spacy-pkuseg "
                "on this machine"
            )
        return f"the {model.value} model does not speak {language!r}"

    def health(self) -> EngineHealth:
        """Return how it does."""
        speakers = list(self._speakers.values())
        if not speakers:
            return EngineHealth(is_ready=False, num_in_flight=0, num_finished=0, stalled_s=0.0)
        return EngineHealth.total(speaker.health() for speaker in speakers)

    def close(self, timeout_s: float) -> None:
        """Take no more segments, wait for those being spoken, let the models go.

        A device that failed takes nothing back, and to try ends the process (`worker.engine.batching.failure`).
        """
        self._is_closed = True
        ends_s = time.monotonic() + timeout_s
        for speaker in self._speakers.values():
            speaker.close(max(0.0, ends_s - time.monotonic()))
        if not self.health().is_broken:
            self._speakers.clear()

    def _speaker(self, model: ModelName) -> Speaker:
        speaker = self._speakers.get(model)
        if self._is_closed:
            raise DrainingError
        if speaker is None:
            raise EngineUnavailableError(f"this worker does not have the {model.value} model")
        return speaker
