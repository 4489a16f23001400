"""What a voice looks like in the cache: computed once for each voice and exaggeration, then copied.

Every text in a voice begins with the same positions, with or without guidance, and attention looks back only; so
their keys and values are the same for all of them. Knows nothing of texts.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any, Final

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.kernels import PREFILL_BLOCK
from worker.engine.t3.kv_cache import KVCache, Prefix
from worker.engine.t3.transformer import Transformer

#: Voices that are kept; one takes 4 MB in half precision, 2 in eight bits.
MAX_VOICES: Final = 32


class VoiceCache:
    """The keys and values of the voices used last."""

    def __init__(self, t3: Any, transformer: Transformer, cache: KVCache, *, max_voices: int = MAX_VOICES) -> None:
        """Take the T3 whose condition encoder turns a voice into positions."""
        self._t3 = t3
        self._transformer = transformer
        self._cache = cache
        self._max_voices = max_voices
        # The voice is kept with its result, so that no other object gets its identity meanwhile.
        self._prefixes: OrderedDict[tuple[int, float], tuple[Any, Prefix]] = OrderedDict()

    def prefix(self, voice: Any, exaggeration: float) -> Prefix:
        """Return keys and values of a voice; at its first use they are computed.

        Uses the scratch row.
        """
        key = (id(voice), exaggeration)
        if key not in self._prefixes:
            self._prefixes[key] = (voice, self._compute(voice, exaggeration))
            if len(self._prefixes) > self._max_voices:
                self._prefixes.popitem(last=False)
        self._prefixes.move_to_end(key)
        return self._prefixes[key][1]

    def _compute(self, voice: Any, exaggeration: float) -> Prefix:
        embeds = self._t3.prepare_conditioning(_private_copy(voice, exaggeration, self._t3))
        scratch = self._cache.scratch_row
        num_voice_positions = embeds.shape[1]
        num_missing = -num_voice_positions % PREFILL_BLOCK
        hidden = torch.nn.functional.pad(embeds[0], (0, 0, 0, num_missing))
        positions = torch.arange(hidden.shape[0], device=embeds.device).clamp(max=self._cache.num_positions - 1)
        self._transformer.fill(hidden, torch.full_like(positions, scratch), positions)
        return self._cache.copy_prefix(scratch, num_voice_positions)


def _private_copy(voice: Any, exaggeration: float, t3: Any) -> Any:
    """Return the voice with another exaggeration, as T3 takes it; T3 writes into what it is given."""
    dtype, device = t3.speech_emb.weight.dtype, t3.device
    return replace(
        voice,
        speaker_emb=voice.speaker_emb.to(device=device, dtype=dtype),
        cond_prompt_speech_tokens=voice.cond_prompt_speech_tokens.to(device=device),
        # Made again from the tokens: another T3, of another precision, may have left its own behind.
        cond_prompt_speech_emb=None,
        emotion_adv=torch.full((1, 1, 1), exaggeration, dtype=dtype, device=device),
    )
