"""Reads voices and texts into the cache, many at once: all that a slot needs before its first step.

The positions are those that T3 was trained on: voice, text, start token. The second start token is not read here: it
is what the first decode step feeds, so no logits are computed here and nothing is drawn. Knows nothing of sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.t3.graphs import Graphs
from worker.engine.t3.kv_cache import KVCache
from worker.engine.t3.prompt import Prompt
from worker.engine.t3.textlayout import START, WORD, lay_out, num_entries, pad
from worker.engine.t3.transformer import Transformer
from worker.engine.t3.voicecache import VoiceCache
from worker.engine.t3.weights import T3Weights
from worker.engine.transfer import copy_to, to_device

#: Entries, padding included, of which there is a CUDA graph. A prompt of usual length with guidance has 320: two rows
#: of 150 tokens, to the end of a block. The more entries, the wider the steps: a GPU that is filled need not wait.
#: At full size and in half precision the widest intermediate of the largest takes 64 MiB.
SIZES: Final = (64, 128, 192, 256, 320, 448, 640, 800, 960, 1280, 1600, 1920, 2240, 2560, 3200, 4096)


class Prefill:
    """Fills rows of the cache."""

    def __init__(self, t3: Any, weights: T3Weights, transformer: Transformer, cache: KVCache) -> None:
        """Take what it reads from and writes to."""
        self._weights = weights
        self._transformer = transformer
        self._cache = cache
        self._voices = VoiceCache(t3, transformer, cache)
        # More than the rows hold of usual texts is never computed at once.
        most = max(320, 160 * cache.scratch_row)
        self._sizes = [size for size in SIZES if size <= most]
        # What a graph reads, by its size.
        self._entries: dict[int, torch.Tensor] = {}
        self._graphs: Graphs[int] = Graphs(lambda size: self._compute(self._entries[size]))

    def read(self, prompts: Sequence[Prompt], rows: Sequence[Sequence[int]]) -> None:
        """Fill the rows of some prompts. Launches only.

        Args:
            prompts: what they speak.
            rows: of each, its rows; the second one, if there is one, reads no text.
        """
        self._copy_voices(prompts, rows)
        for chunk in self._chunks(prompts):
            self._read_texts([prompts[index] for index in chunk], [rows[index] for index in chunk])

    def warm_up(self, pool: Any) -> None:
        """Capture a CUDA graph of each size into a pool of memory; reads nothing into the scratch row meanwhile."""
        nothing = torch.empty(4, 0, dtype=torch.long)
        for size in self._sizes:
            entries = pad(nothing, size, scratch_row=self._cache.scratch_row)
            self._entries[size] = to_device(entries, self._weights.device)
        self._graphs.capture(reversed(self._sizes), pool)

    def forget_graphs(self) -> None:
        """Compute everything without a graph from here on."""
        self._graphs.forget()

    def _copy_voices(self, prompts: Sequence[Prompt], rows: Sequence[Sequence[int]]) -> None:
        rows_of: dict[tuple[int, float], tuple[Prompt, list[int]]] = {}
        for prompt, own_rows in zip(prompts, rows, strict=True):
            key = (id(prompt.voice), prompt.exaggeration)
            rows_of.setdefault(key, (prompt, []))[1].extend(own_rows)
        for prompt, voice_rows in rows_of.values():
            prefix = self._voices.prefix(prompt.voice, prompt.exaggeration)
            self._cache.write_prefix(to_device(torch.tensor(voice_rows), self._weights.device), prefix)

    def _chunks(self, prompts: Sequence[Prompt]) -> Iterator[list[int]]:
        """Divide prompts into groups that are computed at once; a very long one may be alone and larger than all."""
        chunk: list[int] = []
        num_taken = 0
        for index, prompt in enumerate(prompts):
            if chunk and num_taken + num_entries(prompt) > self._sizes[-1]:
                yield chunk
                chunk, num_taken = [], 0
            chunk.append(index)
            num_taken += num_entries(prompt)
        yield chunk

    def _read_texts(self, prompts: Sequence[Prompt], rows: Sequence[Sequence[int]]) -> None:
        entries = lay_out(
            prompts,
            rows,
            num_voice_positions=self._weights.num_voice_positions,
            num_positions=self._cache.num_positions,
        )
        size = next((size for size in self._sizes if size >= entries.shape[1]), None)
        if size is None or size not in self._graphs:
            self._compute(to_device(entries, self._weights.device))
        else:
            copy_to(self._entries[size], pad(entries, size, scratch_row=self._cache.scratch_row))
            self._graphs.run(size)

    def _compute(self, entries: torch.Tensor) -> None:
        """Compute entries [4, B] of a `lay_out`, on the device."""
        rows, positions, tokens, kinds = entries
        self._transformer.fill(self._embed(positions, tokens, kinds), rows, positions)

    def _embed(self, positions: torch.Tensor, tokens: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
        """Return what the entries read, [B, C]."""
        weights = self._weights
        words = torch.where((kinds == WORD).unsqueeze(1), weights.text_embedding[tokens], 0.0)
        # Only entries that read a text token are certain to have a position in the text.
        places = (positions - weights.num_voice_positions).clamp(0, weights.text_positions.shape[0] - 1)
        start = weights.speech_embedding[weights.start_token] + weights.speech_positions[0]
        return torch.where((kinds == START).unsqueeze(1), start, words + weights.text_positions[places])
