"""What a worker process has to know of the engine in its engine process to answer at once.

Knows nothing of processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from producer.contract.languages import LANGUAGES
from producer.contract.narration import ModelName
from worker.engine.protocol import Engine, EngineHealth
from worker.errors import EngineUnavailableError, LanguageUnsupportedError


class ServedEngine(Engine, Protocol):
    """An engine that says beforehand which languages it will refuse."""

    def why_not(self, model: ModelName, language: str) -> str | None:
        """Return in words why a model that it has does not speak a language; None if it does."""
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """An engine at one moment: made, loaded or warm."""

    sample_rate_hz: int
    is_watermarked: bool
    num_slots: int
    #: Of each model that it has.
    identities: Mapping[ModelName, str]
    #: Of each model that it does not have, in words.
    absences: Mapping[ModelName, str]
    #: Why a model that it has does not speak a language of the contract, in words.
    refusals: Mapping[tuple[ModelName, str], str]
    health: EngineHealth

    @classmethod
    def of(cls, engine: ServedEngine) -> Self:
        """Ask an engine."""
        identities: dict[ModelName, str] = {}
        absences: dict[ModelName, str] = {}
        for model in ModelName:
            try:
                identities[model] = engine.identity(model)
            except EngineUnavailableError as error:
                absences[model] = str(error)
        answers = {(model, language): engine.why_not(model, language) for model in identities for language in LANGUAGES}
        return cls(
            sample_rate_hz=engine.sample_rate_hz,
            is_watermarked=engine.is_watermarked,
            num_slots=engine.num_slots,
            identities=identities,
            absences=absences,
            refusals={key: reason for key, reason in answers.items() if reason is not None},
            health=engine.health(),
        )

    def identity(self, model: ModelName) -> str:
        """Return what the engine says.

        Raises:
            EngineUnavailableError: it does not have the model.
        """
        if model not in self.identities:
            raise EngineUnavailableError(self.absences[model])
        return self.identities[model]

    def require(self, model: ModelName, language: str) -> None:
        """Return if the engine has a model and that speaks a language, as far as is known here.

        Raises:
            EngineUnavailableError: it does not have the model.
            LanguageUnsupportedError: the model does not speak the language.
        """
        self.identity(model)
        if reason := self.refusals.get((model, language)):
            raise LanguageUnsupportedError(reason)
