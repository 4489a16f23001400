"""Errors that only the worker raises; the tree continues that of `producer.contract.errors`.

ChatterqueueError
├── WorkerStartError            a process that must not take work: settings, models, watermark
│   ├── ModelLoadError          a checkpoint that is missing, cut short or of another model
│   └── WatermarkError          the Perth watermark is not there or does not work
├── SynthesisError              one segment could not be spoken
│   ├── EngineUnavailableError  this worker does not run the engine or the model that the narration asks for
│   ├── LanguageUnsupportedError
│   ├── UnspeakableError        no text, too much text, or a parameter that no model can use
│   └── NoEndOfSpeechError      the model did not stop; the audio is cut off
├── DrainingError               the process is going down; the item goes back with its attempt refunded
└── AssemblyError               the finished segments do not fit together
"""

from __future__ import annotations

from producer.contract.errors import ChatterqueueError, ExitCode


class WorkerStartError(ChatterqueueError):
    """The process must not take work. Argument: what is wrong and what to do."""

    code = "worker_start"
    exit_code = ExitCode.CONFIGURATION

    def __init__(self, reason: str) -> None:
        super().__init__(reason)

    def __str__(self) -> str:
        return str(self.args[0])


class ModelLoadError(WorkerStartError):
    """A checkpoint cannot be loaded. Argument: which file, what is wrong, what to do."""

    code = "model_load"


class WatermarkError(WorkerStartError):
    """The watermark is not there or does not work. Argument: what was found."""

    code = "watermark"


class SynthesisError(ChatterqueueError):
    """One segment could not be spoken. Argument: what happened, without the text."""

    code = "synthesis"
    is_retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(reason)

    def __str__(self) -> str:
        return str(self.args[0])


class EngineUnavailableError(SynthesisError):
    """This worker does not run what the narration asks for; another one may."""

    code = "engine_unavailable"


class LanguageUnsupportedError(SynthesisError, ValueError):
    """The engine does not speak this language. A ValueError too: chatterbox-tts raises one."""

    code = "language_unsupported"
    is_retryable = False


class UnspeakableError(SynthesisError, ValueError):
    """No text, too much text, or a parameter that no model can use; refused before the model runs."""

    code = "unspeakable"
    is_retryable = False


class NoEndOfSpeechError(SynthesisError):
    """The model reached its ceiling without an end: the speech is cut off or runs away."""

    code = "no_end_of_speech"


class DrainingError(ChatterqueueError):
    """The process is going down; whoever waits gives the item back."""

    code = "draining"
    is_retryable = True


class AssemblyError(ChatterqueueError):
    """The finished segments do not fit together. Argument: what was found."""

    code = "assembly"
    is_retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(reason)

    def __str__(self) -> str:
        return str(self.args[0])
