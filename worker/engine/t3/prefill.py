"""Reads voices and texts into the cache, many at once: all that a slot needs before its first step.

The positions are those that T3 was trained on: voice, text, start token. The second start token is not read here: it
is what the first decode step feeds, so no logits are computed here and nothing is drawn. Knows nothing of sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.t3.kv_cache import KVCache
from worker.engine.t3.prompt import Prompt
from worker.engine.t3.transfer import to_device
from worker.engine.t3.transformer import Transformer
from worker.engine.t3.voicecache import VoiceCache
from worker.engine.t3.weights import T3Weights

#: Texts are padded to a multiple of this, so that a GPU sees few shapes.
_LENGTH_STEP: Final = 32
#: Positions, padding included, that are computed at once: bounds the memory of a burst. At full size their widest
#: intermediate takes 256 MiB in half precision.
MAX_POSITIONS_AT_ONCE: Final = 16_384

#: Rows and widths computed once at the start.
_WARM_UP_SHAPES: Final = ((1, 34), (2, 64), (2, 160), (16, 160), (64, 160))


class Prefill:
    """Fills rows of the cache."""

    def __init__(self, t3: Any, weights: T3Weights, transformer: Transformer, cache: KVCache) -> None:
        """Take what it reads from and writes to."""
        self._weights = weights
        self._transformer = transformer
        self._cache = cache
        self._voices = VoiceCache(t3, transformer, cache)
        self._max_width = cache.num_positions - weights.num_voice_positions

    def read(self, prompts: Sequence[Prompt], rows: Sequence[Sequence[int]]) -> None:
        """Fill the rows of some prompts. Launches only.

        Args:
            prompts: what they speak.
            rows: of each, its rows; the second one, if there is one, reads no text.
        """
        self._copy_voices(prompts, rows)
        for chunk in self._chunks(prompts):
            self._read_texts([prompts[index] for index in chunk], [rows[index] for index in chunk])

    def warm_up(self) -> None:
        """Compile kernels by computing zeros in rows that nobody uses yet; leaves zeros there."""
        weights = self._weights
        for num_rows, width in _WARM_UP_SHAPES:
            rows = torch.arange(min(num_rows, self._cache.scratch_row), device=weights.device)
            size = (rows.shape[0], min(width, self._max_width), weights.final_norm.shape[0])
            hidden = torch.zeros(size, dtype=weights.dtype, device=weights.device)
            self._transformer.fill(hidden, rows, start=weights.num_voice_positions)

    def _copy_voices(self, prompts: Sequence[Prompt], rows: Sequence[Sequence[int]]) -> None:
        rows_of: dict[tuple[int, float], tuple[Prompt, list[int]]] = {}
        for prompt, own_rows in zip(prompts, rows, strict=True):
            key = (id(prompt.voice), prompt.exaggeration)
            rows_of.setdefault(key, (prompt, []))[1].extend(own_rows)
        for prompt, voice_rows in rows_of.values():
            prefix = self._voices.prefix(prompt.voice, prompt.exaggeration)
            self._cache.write_prefix(to_device(torch.tensor(voice_rows), self._weights.device), prefix)

    def _read_texts(self, prompts: Sequence[Prompt], rows: Sequence[Sequence[int]]) -> None:
        width = self._padded_length(prompts)
        lines, lengths, has_text = [], [], []
        for prompt, own_rows in zip(prompts, rows, strict=True):
            num_text = prompt.text_tokens.numel()
            line = torch.nn.functional.pad(prompt.text_tokens, (0, width - num_text))
            lines.extend([line] * len(own_rows))
            lengths.extend([num_text] * len(own_rows))
            has_text.extend([True, False][: len(own_rows)])
        device = self._weights.device
        numbers = torch.tensor([[row for own_rows in rows for row in own_rows], lengths, has_text])
        row_index, num_text_tokens, has_text_flags = to_device(numbers, device)
        embeds = self._embed(to_device(torch.stack(lines), device), num_text_tokens, has_text_flags.bool())
        self._transformer.fill(embeds, row_index, start=self._weights.num_voice_positions)

    def _embed(self, tokens: torch.Tensor, lengths: torch.Tensor, has_text: torch.Tensor) -> torch.Tensor:
        """Embed padded texts and, behind each, the start token.

        Args:
            tokens: [B, T] int64; T is longer than the longest text.
            lengths: [B] int64, of the texts.
            has_text: [B] bool; where not, the text is nothing but its positions.

        Returns:
            [B, T, C]; zeros behind the start token.
        """
        weights = self._weights
        columns = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        lengths = lengths.unsqueeze(1)
        words = torch.where(has_text.view(-1, 1, 1), weights.text_embedding[tokens], 0.0)
        # The last column is never one of a text, and may lie behind the last position there is.
        positions = weights.text_positions[columns[0].clamp(max=weights.text_positions.shape[0] - 1)]
        start = weights.speech_embedding[weights.start_token] + weights.speech_positions[0]
        embeds = torch.where((columns < lengths).unsqueeze(2), words + positions, 0.0)
        return torch.where((columns == lengths).unsqueeze(2), start, embeds)

    def _padded_length(self, prompts: Sequence[Prompt]) -> int:
        """Return the T that these texts are padded to, one start token included."""
        longest = max(prompt.text_tokens.numel() for prompt in prompts) + 1
        return min(-(-longest // _LENGTH_STEP) * _LENGTH_STEP, self._max_width)

    def _chunks(self, prompts: Sequence[Prompt]) -> Iterator[list[int]]:
        """Divide prompts into groups that are read at once, texts of like length together."""
        order = sorted(range(len(prompts)), key=lambda index: prompts[index].text_tokens.numel())
        chunk: list[int] = []
        num_rows = 0
        for index in order:
            # Sorted, so that this text is the longest one of its group.
            width = self._padded_length([prompts[index]])
            if chunk and (num_rows + prompts[index].num_rows) * width > MAX_POSITIONS_AT_ONCE:
                yield chunk
                chunk, num_rows = [], 0
            chunk.append(index)
            num_rows += prompts[index].num_rows
        yield chunk
