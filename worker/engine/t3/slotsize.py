"""What a slot takes of the device's memory, before anything is loaded.

Knows nothing of torch: whoever plans how many slots there are need not load it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from worker.models.precision import Precision

#: Rows of a slot with guidance: one that reads the text, and one that does not.
_NUM_ROWS: Final = 2
#: Bytes of the keys, and of the values, of one position of one head; in int8 with a scale in half precision.
_HEAD_BYTES: Final = {"fp32": (4, 0), "bf16": (2, 0), "int8": (1, 2)}
#: A token that has been drawn, int64, and whether it has been drawn, bool.
_OUTPUT_BYTES: Final = 8
_SEEN_BYTES: Final = 1


def slot_bytes(
    precision: Precision,
    num_positions: int,
    *,
    num_layers: int = 30,
    num_heads: int = 16,
    head_size: int = 64,
    num_speech_tokens: int = 8_194,
) -> int:
    """Return what a slot of a decoder takes, but for some hundred bytes of its state.

    Args:
        precision: of the model.
        num_positions: S, of each of its rows.
        num_layers: of T3; like the others, the same in every published checkpoint.
        num_heads: H.
        head_size: D.
        num_speech_tokens: V.
    """
    number_bytes, scale_bytes = _HEAD_BYTES[precision]
    cache_bytes = 2 * num_layers * num_heads * num_positions * (head_size * number_bytes + scale_bytes)
    return _NUM_ROWS * (cache_bytes + num_positions * _OUTPUT_BYTES + num_speech_tokens * _SEEN_BYTES)
