"""Makes a random T3 speak as long as its text is: random weights neither read nor end, and a benchmark needs both.

The weights stay as many and as random as they were, but for three numbers of each embedding. Position and kind are told
by two of them: every character of a text carries one, every spoken token the other. One head of the first layer, whose
queries are zero, looks at everything evenly, so what it writes into the third number is

    (spoken tokens - wanted tokens per character * characters) / everything read so far

which changes its sign when the time has come, however long the text, in any precision. The stop token's row of the head
listens to that number and to nothing else. Only the English model: the multilingual one's own check of the end looks
at other heads (`small_checkpoint`).
"""

from __future__ import annotations

from typing import Any, Final

#: The numbers of an embedding that tell: a character, a spoken token, how far the speech is beyond its end.
CHARACTER_NUMBER: Final = 0
SPOKEN_NUMBER: Final = 1
BEYOND_NUMBER: Final = 2
NUMBERS: Final = [CHARACTER_NUMBER, SPOKEN_NUMBER, BEYOND_NUMBER]

#: How loud a number tells, beside 1,024 of noise of 1. So loud that the norm before the first layer makes nearly the
#: same of it in the row with the text and in the row without, whose only noise is that of its positions.
LOUD: Final = 100.0
#: What the even head multiplies by, and the stop token's row: together the steepness with which the end becomes likely.
#: A thousandth of all that has been read, beyond the end, is then worth one unit of a logit.
HEAD_GAIN: Final = 60.0
STOP_GAIN: Final = 60.0
#: Tokens that S3Gen has no sound for are this unlikely, so that all that is spoken can be heard.
MUTE_WEIGHT: Final = -0.5

#: Speech tokens from here on have no sound.
NUM_SOUNDS: Final = 6561
#: Of a text's positions, the first two count as none: as many as the start and the stop token are.
NUM_FRAMING_TOKENS: Final = 2

#: A second of speech is 25 tokens and, read aloud in English, about 15 characters.
REAL_TOKENS_PER_CHARACTER: Final = 25 / 15


def rig_length(t3: Any, tokens_per_character: float) -> None:
    """Set the weights of an English T3, in place, so that it speaks so many tokens for each text token.

    The small checkpoints' tokenizer makes a token of each character.

    Args:
        t3: with random weights, full precision, on any device.
        tokens_per_character: mean speech tokens per text token; above 0.
    """
    import torch

    with torch.no_grad():
        _silence(t3)
        t3.text_pos_emb.emb.weight[NUM_FRAMING_TOKENS:, CHARACTER_NUMBER] = LOUD
        t3.speech_emb.weight[:, SPOKEN_NUMBER] = LOUD
        t3.speech_emb.weight[t3.hp.start_speech_token, SPOKEN_NUMBER] = 0.0
        _count_in_first_layer(t3.tfmr.layers[0].self_attn, tokens_per_character)
        _end_when_beyond(t3)


def _silence(t3: Any) -> None:
    """Let nothing else write into the three numbers: neither embedding, nor voice, nor layer."""
    for embedding in (t3.text_emb, t3.speech_emb, t3.text_pos_emb.emb, t3.speech_pos_emb.emb):
        embedding.weight[:, NUMBERS] = 0.0
    voice = t3.cond_enc
    voice.perceiver.pre_attention_query[..., NUMBERS] = 0.0
    for linear in (voice.spkr_enc, voice.emotion_adv_fc, voice.perceiver.attn.proj_out):
        linear.weight[NUMBERS] = 0.0
        if linear.bias is not None:
            linear.bias[NUMBERS] = 0.0
    for layer in t3.tfmr.layers:
        layer.self_attn.o_proj.weight[NUMBERS] = 0.0
        layer.mlp.down_proj.weight[NUMBERS] = 0.0


def _count_in_first_layer(attention: Any, tokens_per_character: float) -> None:
    """Let the first head weigh all that was read evenly, and write what it finds."""
    head_size = attention.head_dim
    attention.q_proj.weight[:head_size] = 0.0
    width = attention.v_proj.weight.shape[1]
    # What the norm makes of a loud number.
    heard = LOUD / ((LOUD**2 + width) / width) ** 0.5
    attention.v_proj.weight[0] = 0.0
    attention.v_proj.weight[0, SPOKEN_NUMBER] = 1.0 / heard
    attention.v_proj.weight[0, CHARACTER_NUMBER] = -tokens_per_character / heard
    attention.o_proj.weight[BEYOND_NUMBER, 0] = HEAD_GAIN


def _end_when_beyond(t3: Any) -> None:
    """Let the stop token alone listen to how far the speech is, and let no token without a sound be drawn."""
    stop = t3.hp.stop_speech_token
    weight = t3.speech_head.weight
    weight[:, NUMBERS] = 0.0
    weight[NUM_SOUNDS:, SPOKEN_NUMBER] = MUTE_WEIGHT
    # Before the first token is spoken, only this is loud: far below zero.
    weight[NUM_SOUNDS:, BEYOND_NUMBER] = -MUTE_WEIGHT
    weight[stop] = 0.0
    weight[stop, BEYOND_NUMBER] = STOP_GAIN
