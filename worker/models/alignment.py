"""Watches where in the text the multilingual T3 is, as chatterbox-tts does, and leaves nothing behind.

The analysis is the stock `AlignmentStreamAnalyzer`; ours is how it gets at the attention: the stock one adds three
forward hooks to the model at each call, never removes them, and switches the model to slow attention for good.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

#: Below this many text tokens the stock analysis looks at an empty slice and raises an IndexError.
MIN_TEXT_TOKENS: Final = 6

_STOCK_LOGGER: Final = "chatterbox.models.t3.inference.alignment_stream_analyzer"


@contextmanager
def watch_alignment(t3: Any, *, text_start: int, text_end: int) -> Iterator[Any | None]:
    """Give an analyzer for one generation; afterwards the model is as it was before.

    While it lasts the attention of this T3 is computed in the plain way, which alone gives attention weights, so
    nobody else may use the T3.

    Args:
        t3: the model.
        text_start: where the text begins in the sequence.
        text_end: where it ends.

    Yields:
        The analyzer; None for the English model, which has none, and for texts too short for the analysis.
    """
    if not t3.hp.is_multilingual or text_end - text_start < MIN_TEXT_TOKENS:
        yield None
        return
    config = t3.tfmr.config
    attention = config._attn_implementation
    config._attn_implementation = "eager"
    analyzer = _analyzer_class()(
        t3.tfmr, None, text_tokens_slice=(text_start, text_end), eos_idx=t3.hp.stop_speech_token
    )
    try:
        yield analyzer
    finally:
        analyzer.remove_hooks()
        config._attn_implementation = attention


def _analyzer_class() -> Any:
    from chatterbox.models.t3.inference.alignment_stream_analyzer import AlignmentStreamAnalyzer

    # It logs a warning for each forced end, several in a minute of speech; the end itself is the news.
    logging.getLogger(_STOCK_LOGGER).setLevel(logging.ERROR)

    class RemovableAnalyzer(AlignmentStreamAnalyzer):  # type: ignore[misc]  # untyped base
        """The stock analyzer with hooks that can be removed and a configuration that it does not touch."""

        def _add_attention_spy(self, tfmr: Any, buffer_idx: int, layer_idx: int, head_idx: int) -> None:
            def keep_attention(_module: Any, _args: Any, output: tuple[torch.Tensor, torch.Tensor]) -> None:
                # [B, H, T0, Ti]; one head of the conditional row is all that is looked at, so one head is fetched.
                self.last_aligned_attns[buffer_idx] = output[1][0, head_idx].float().cpu()

            if not hasattr(self, "hooks"):
                self.hooks = []
            self.hooks.append(tfmr.layers[layer_idx].self_attn.register_forward_hook(keep_attention))

        def remove_hooks(self) -> None:
            """Take the hooks off the model."""
            for hook in self.hooks:
                hook.remove()

    return RemovableAnalyzer
