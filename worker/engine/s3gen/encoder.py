"""The flow's encoder: speech tokens to the mel frames that the flow is guided by, for many lengths at once.

The stock module's own weights, in a forward of ours: its padded batches are wrong, because rows behind the end of a
sequence are no longer zero where the look-ahead convolution reads them. Knows nothing of voices, noise or the solver.
"""

from __future__ import annotations

import copy
import math
from typing import Any, Final

import torch  # noqa: TID253 - the renderer is loaded where the GPU is
from torch import nn  # noqa: TID253 - the same
from torch.nn import functional as F  # noqa: N812, TID253 - its name everywhere
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: TID253 - the same

from worker.engine.s3gen.weights import on_device

#: Positions that the table of relative positions is made for at first; it grows.
_FIRST_POSITIONS: Final = 4096

_POSITION_BASE: Final = 10_000.0

#: All but cuDNN's: of that torch keeps a graph for every shape that a thread has met, without a limit (pytorch#190388),
#: and batches of speech come in all shapes.
_ATTENTIONS: Final = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]

#: Scores of a call that are in memory at once, those by distance: 2 GB in half precision. One head of the longest
#: sequence has 13 million.
MAX_SCORES: Final = 1_000_000_000


class Encoder:
    """Runs the upsampling conformer of S3Gen on a padded batch, each row as if it were alone."""

    def __init__(self, encoder: Any, *, device: torch.device, dtype: torch.dtype, max_scores: int = MAX_SCORES) -> None:
        """Take the weights of a stock encoder.

        Args:
            encoder: `UpsampleConformerEncoder` of chatterbox-tts, in float32, on any device; left as it is.
            device: where it runs, on a copy if the encoder is elsewhere.
            dtype: of products; sums and norms are float32 in any case.
            max_scores: see `MAX_SCORES`; heads beyond it wait for their turn, but for one.
        """
        assert not encoder.training, "dropout would be on"
        assert encoder.static_chunk_size == 0, "the whole sequence is seen at once"
        self._encoder = on_device(encoder if dtype == torch.float32 else _with_products_in(encoder, dtype), device)
        self._device = device
        self._dtype = dtype
        self._max_scores = max_scores
        self._positions = _relative_positions(_FIRST_POSITIONS, encoder.output_size(), device)

    def __call__(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Encode a padded batch.

        Args:
            tokens: [B, T, C] float32, embedded; what stands behind the end of a row does not matter.
            lengths: [B] int64, on the device.

        Returns:
            [B, 2 T, C] float32; row b is valid up to 2 lengths[b] and holds finite numbers behind it.
        """
        encoder = self._encoder
        mask = _mask(lengths, tokens.shape[1])
        hidden = self._embed(encoder.embed, tokens * mask)
        # The one place where padding is read: three tokens ahead.
        hidden = encoder.pre_lookahead_layer((hidden * mask).to(self._dtype)).float()
        hidden = self._layers(encoder.encoders, hidden, mask)
        hidden, lengths = encoder.up_layer(hidden.to(self._dtype).transpose(1, 2), lengths)
        hidden = self._embed(encoder.up_embed, hidden.transpose(1, 2))
        hidden = self._layers(encoder.up_encoders, hidden, _mask(lengths, hidden.shape[1]))
        encoded: torch.Tensor = encoder.after_norm(hidden)
        return encoded

    def _embed(self, embed: Any, rows: torch.Tensor) -> torch.Tensor:
        """Return rows as the layers take them, [B, T, C] float32."""
        project, norm, _ = embed.out
        embedded: torch.Tensor = norm(project(rows.to(self._dtype)).float()) * embed.pos_enc.xscale
        return embedded

    def _layers(self, layers: Any, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        num_positions = hidden.shape[1]
        if 2 * num_positions > self._positions.shape[0]:
            self._positions = _relative_positions(2 * num_positions, hidden.shape[2], self._device)
        middle = self._positions.shape[0] // 2
        positions = self._positions[middle - num_positions + 1 : middle + num_positions].to(self._dtype)
        # -inf would make rows of nothing but padding, which no one reads, not a number.
        key_bias = torch.where(mask[:, None, None, :, 0], 0.0, torch.finfo(torch.bfloat16).min).to(self._dtype)
        with sdpa_kernel(_ATTENTIONS):
            for layer in layers:
                normed = layer.norm_mha(hidden).to(self._dtype)
                hidden = hidden + _attend(layer.self_attn, normed, positions, key_bias, max_scores=self._max_scores)
                hidden = hidden + layer.feed_forward(layer.norm_ff(hidden).to(self._dtype))
        return hidden


def _attend(
    attention: Any, hidden: torch.Tensor, positions: torch.Tensor, key_bias: torch.Tensor, *, max_scores: int
) -> torch.Tensor:
    """Attend with relative positions: Dai et al. 2019, arXiv:1901.02860, section 3.3, as ESPnet orders them.

    Args:
        attention: `RelPositionMultiHeadedAttention`.
        hidden: [B, T, C].
        positions: [2 T - 1, C], from T - 1 ahead to T - 1 behind.
        key_bias: [B, 1, 1, T], very negative where a row has ended.
        max_scores: as many heads take their turn together as have so many scores by distance.
    """
    num_heads, head_size = attention.h, attention.d_k
    num_rows, num_positions, _ = hidden.shape
    query, key, value = (
        project(hidden).view(num_rows, num_positions, num_heads, head_size)
        for project in (attention.linear_q, attention.linear_k, attention.linear_v)
    )
    distances = attention.linear_pos(positions).view(-1, num_heads, head_size)
    scaled = (query + attention.pos_bias_v) * (1.0 / math.sqrt(head_size))
    query = query + attention.pos_bias_u
    attended = torch.empty_like(query)
    num_at_once = min(num_heads, max(1, max_scores // (num_rows * num_positions * distances.shape[0])))
    for first in range(0, num_heads, num_at_once):
        # [B, T, heads, D] to [B, heads, T, D], and [2 T - 1, heads, D] to [heads, D, 2 T - 1].
        heads = slice(first, first + num_at_once)
        by_distance = torch.matmul(scaled[:, :, heads].transpose(1, 2), distances[:, heads].permute(1, 2, 0))
        attended[:, :, heads] = F.scaled_dot_product_attention(
            query[:, :, heads].transpose(1, 2),
            key[:, :, heads].transpose(1, 2),
            value[:, :, heads].transpose(1, 2),
            attn_mask=_by_position(by_distance) + key_bias,
        ).transpose(1, 2)
    joined: torch.Tensor = attention.linear_out(attended.flatten(2))
    return joined


def _by_position(by_distance: torch.Tensor) -> torch.Tensor:
    """Return scores [B, H, T, T] by key, as a view of those by distance, [B, H, T, 2 T - 1]: nothing is copied.

    The column of (i, j) is T - 1 - i + j, so the view walks one back for each row.
    """
    num_positions = by_distance.shape[2]
    return by_distance.as_strided(
        (*by_distance.shape[:2], num_positions, num_positions),
        (*by_distance.stride()[:2], by_distance.stride(2) - 1, 1),
        by_distance.storage_offset() + num_positions - 1,
    )


def _with_products_in(encoder: Any, dtype: torch.dtype) -> Any:
    """Return a copy whose products are in another precision; its norms stay as they are."""
    copied = copy.deepcopy(encoder)
    for module in copied.modules():
        if isinstance(module, (nn.Linear, nn.Conv1d, type(encoder.encoders[0].self_attn))):
            module.to(dtype)
    return copied


def _mask(lengths: torch.Tensor, max_length: int) -> torch.Tensor:
    """Return [B, T, 1] bool, true up to the end of each row."""
    return (torch.arange(max_length, device=lengths.device) < lengths[:, None])[:, :, None]


def _relative_positions(num_positions: int, num_channels: int, device: torch.device) -> torch.Tensor:
    """Return [2 num_positions - 1, num_channels] float32: sines and cosines of the distances, far ahead first."""
    distances = torch.arange(num_positions - 1, -num_positions, -1, dtype=torch.float32)[:, None]
    frequencies = torch.exp(
        torch.arange(0, num_channels, 2, dtype=torch.float32) * -(math.log(_POSITION_BASE) / num_channels)
    )
    table = torch.empty(2 * num_positions - 1, num_channels)
    table[:, 0::2] = torch.sin(distances * frequencies)
    table[:, 1::2] = torch.cos(distances * frequencies)
    return table.to(device)
