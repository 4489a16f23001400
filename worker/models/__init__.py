"""The Chatterbox models: drop-ins for the classes of chatterbox-tts, with T3 in int8 on request.

Knows nothing of queues, ledgers or engines. Importing this package loads no torch; naming one of its classes does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.models.multilingual import ChatterboxMultilingualTTS
    from worker.models.tts import ChatterboxTTS

__all__ = ["ChatterboxMultilingualTTS", "ChatterboxTTS"]


def __getattr__(name: str) -> object:
    """Import a class when it is first named: torch and chatterbox take seconds and gigabytes."""
    if name == "ChatterboxTTS":
        from worker.models.tts import ChatterboxTTS

        return ChatterboxTTS
    if name == "ChatterboxMultilingualTTS":
        from worker.models.multilingual import ChatterboxMultilingualTTS

        return ChatterboxMultilingualTTS
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
