"""The weights of a T3 as a decode step wants them: layers over the same input joined to one.

There is no second copy: the modules that they were taken from share the joined memory and work as before. Knows
nothing of caches or batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.kernels import PackedLinear

if TYPE_CHECKING:
    from worker.models.precision import Precision


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One layer of the backbone, a Llama (Touvron et al. 2023, arXiv 2302.13971)."""

    attention_norm: torch.Tensor
    qkv: PackedLinear
    output: PackedLinear
    mlp_norm: torch.Tensor
    gate_up: PackedLinear
    down: PackedLinear


@dataclass(frozen=True, slots=True)
class T3Weights:
    """A whole T3, and its few fixed numbers.

    Attributes:
        cos: [S, D] float32, the cosines of the rotary embedding, both halves alike; `sin` likewise.
        num_voice_positions: what a voice is turned into: speaker, prompt and emotion.
        analysed_heads: the (layer, head) pairs that know where in the text the speech is; none in the English model.
    """

    layers: tuple[LayerWeights, ...]
    final_norm: torch.Tensor
    speech_head: PackedLinear
    text_embedding: torch.Tensor
    text_positions: torch.Tensor
    speech_embedding: torch.Tensor
    speech_positions: torch.Tensor
    cos: torch.Tensor
    sin: torch.Tensor
    norm_eps: float
    num_heads: int
    head_size: int
    num_voice_positions: int
    start_token: int
    stop_token: int
    analysed_heads: tuple[tuple[int, int], ...]

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the activations."""
        return self.speech_embedding.dtype

    @property
    def precision(self) -> Precision:
        """How the weights of the layers are kept."""
        if self.layers[0].qkv.absmax is not None:
            return "int8"
        return "fp32" if self.dtype == torch.float32 else "bf16"

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.speech_embedding.device


def join_weights(t3: Any, *, num_positions: int) -> T3Weights:
    """Join the layers of a loaded T3, in place, one after the other: at most one layer is there twice.

    Args:
        t3: of any precision; it can be used as before.
        num_positions: S, how long a sequence may become.
    """
    config = t3.tfmr.config
    assert config.num_key_value_heads == config.num_attention_heads, "every T3 has as many key heads as query heads"
    cos, sin = _rotary_tables(t3, num_positions)
    return T3Weights(
        layers=tuple(_join_layer(layer) for layer in t3.tfmr.layers),
        final_norm=t3.tfmr.norm.weight.data,
        speech_head=PackedLinear.pack([t3.speech_head]),
        text_embedding=t3.text_emb.weight.data,
        text_positions=t3.text_pos_emb.emb.weight.data,
        speech_embedding=t3.speech_emb.weight.data,
        speech_positions=t3.speech_pos_emb.emb.weight.data,
        cos=cos,
        sin=sin,
        norm_eps=config.rms_norm_eps,
        num_heads=config.num_attention_heads,
        head_size=config.head_dim,
        # Speaker, resampled prompt, emotion.
        num_voice_positions=1 + t3.cond_enc.perceiver.pre_attention_query.shape[1] + 1,
        start_token=t3.hp.start_speech_token,
        stop_token=t3.hp.stop_speech_token,
        analysed_heads=_analysed_heads() if t3.hp.is_multilingual else (),
    )


def _join_layer(layer: Any) -> LayerWeights:
    attention, mlp = layer.self_attn, layer.mlp
    return LayerWeights(
        attention_norm=layer.input_layernorm.weight.data,
        qkv=_join([attention.q_proj, attention.k_proj, attention.v_proj]),
        output=PackedLinear.pack([attention.o_proj]),
        mlp_norm=layer.post_attention_layernorm.weight.data,
        gate_up=_join([mlp.gate_proj, mlp.up_proj]),
        down=PackedLinear.pack([mlp.down_proj]),
    )


def _join(linears: Sequence[Any]) -> PackedLinear:
    """Pack layers over the same input, and let them share the packed memory."""
    packed = PackedLinear.pack(linears)
    start = 0
    for linear in linears:
        end = start + linear.weight.shape[0]
        linear.weight.data = packed.weight[start:end]
        if packed.absmax is not None:
            _share_int8(linear, packed.weight[start:end], packed.absmax[start:end])
        start = end
    return packed


def _share_int8(linear: Any, values: torch.Tensor, absmax: torch.Tensor) -> None:
    """Point an int8 layer at shared memory; bitsandbytes keeps both with the weight until its first use, then apart."""
    for holder in (linear.weight, linear.state):
        if holder.CB is not None:
            holder.CB = values
        if holder.SCB is not None:
            holder.SCB = absmax


def _rotary_tables(t3: Any, num_positions: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosines and sines [S, D] float32 from the model's own rotary embedding, which scales frequencies."""
    # Only its precision and device are looked at; in half precision the tables would be rounded.
    like = torch.empty(1, dtype=torch.float32, device=t3.device)
    positions = torch.arange(num_positions, device=t3.device).unsqueeze(0)
    cos, sin = t3.tfmr.rotary_emb(like, position_ids=positions)
    return cos[0].contiguous(), sin[0].contiguous()


def _analysed_heads() -> tuple[tuple[int, int], ...]:
    from chatterbox.models.t3.inference.alignment_stream_analyzer import LLAMA_ALIGNED_HEADS

    return tuple(LLAMA_ALIGNED_HEADS)
