"""Submit texts to be narrated, follow them, fetch the audio: the side of chatterqueue that has no GPU."""

from producer.client import Client
from producer.contract.errors import (
    ChatterqueueError,
    IdempotencyConflictError,
    InvalidBatchError,
    InvalidCoverError,
    InvalidInputError,
    InvalidNarrationError,
    InvalidVoiceError,
    NarrationFailedError,
    NarrationNotFoundError,
    NarrationUnfinishedError,
    OutputPathError,
    QueueFullError,
    QueueUnavailableError,
    RetryRefusedError,
    SettingsError,
    StorageUnavailableError,
    UnknownCoverError,
    UnknownVoiceError,
    UnreadableInputError,
    WaitTimeoutError,
)
from producer.contract.manifest import Manifest
from producer.contract.narration import AudioFormat, EngineName, ModelName, Narration, Parameters
from producer.contract.routing import Priority
from producer.contract.settings import Settings
from producer.contract.status import NarrationStatus, State
from producer.contract.voice import Voice
from producer.job import Batch, NarrationJob

__all__ = [
    "AudioFormat",
    "Batch",
    "ChatterqueueError",
    "Client",
    "EngineName",
    "IdempotencyConflictError",
    "InvalidBatchError",
    "InvalidCoverError",
    "InvalidInputError",
    "InvalidNarrationError",
    "InvalidVoiceError",
    "Manifest",
    "ModelName",
    "Narration",
    "NarrationFailedError",
    "NarrationJob",
    "NarrationNotFoundError",
    "NarrationStatus",
    "NarrationUnfinishedError",
    "OutputPathError",
    "Parameters",
    "Priority",
    "QueueFullError",
    "QueueUnavailableError",
    "RetryRefusedError",
    "Settings",
    "SettingsError",
    "State",
    "StorageUnavailableError",
    "UnknownCoverError",
    "UnknownVoiceError",
    "UnreadableInputError",
    "Voice",
    "WaitTimeoutError",
]
