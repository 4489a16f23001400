"""Stands before a stock T3 and keeps its known faults from a long-running process.

Knows tokens and nothing of audio. Each guard names the fault of chatterbox-tts 0.1.7 that it is for.
"""

from __future__ import annotations

from typing import Any, Final

import torch  # noqa: TID253 - imported with the engine that needs it
import torch.nn.functional as F  # noqa: N812, TID253

from worker.errors import NoEndOfSpeechError, SegmentUnspeakableError, SynthesisError

#: Speech tokens that S3Gen has an embedding for; T3 can give up to 8,193.
NUM_SPEECH_TOKENS: Final = 6561
#: Text tokens, start and stop included, below which the multilingual end-of-speech check indexes past an empty slice.
MIN_MULTILINGUAL_TOKENS: Final = 6

_ANALYZER_MODULE: Final = "chatterbox.models.t3.inference.alignment_stream_analyzer"


class T3Guard:
    """Takes the place of `t3.inference`, on the instance it is given."""

    def __init__(self, t3: Any, *, space_token: int) -> None:
        """Guard a T3.

        Args:
            t3: a stock T3; its `inference` is replaced.
            space_token: the tokenizer's number for a blank, with which a very short text is filled up.
        """
        self._t3 = t3
        self._space_token = space_token
        self._attention: str = t3.tfmr.config._attn_implementation
        self._stock_inference = t3.inference
        t3.inference = self.inference

    def inference(
        self, *, text_tokens: torch.Tensor, max_new_tokens: int, cfg_weight: float, **options: Any
    ) -> torch.Tensor:
        """Return speech tokens that S3Gen can take, and the stop token behind them.

        Args:
            text_tokens: [1 or 2, T] with start and stop token; two equal rows for classifier-free guidance.
            max_new_tokens: ceiling of the stock loop.
            cfg_weight: 0 for no guidance.
            options: passed on.

        Returns:
            [1, N] int64, the last of them the stop token.

        Raises:
            SegmentUnspeakableError: if the text does not fit.
            NoEndOfSpeechError: if the ceiling was reached.
            SynthesisError: if nothing was spoken.
        """
        text_tokens = self._fitted(text_tokens)
        try:
            spoken = self._stock_inference(
                text_tokens=text_tokens, max_new_tokens=max_new_tokens, cfg_weight=cfg_weight, **options
            )
        finally:
            self._forget()
        return self._checked(spoken)

    def _fitted(self, text_tokens: torch.Tensor) -> torch.Tensor:
        """Return [2, T] text tokens of a length that T3 survives."""
        hp = self._t3.hp
        if text_tokens.size(1) > hp.max_text_tokens + 2:
            # Stock indexes past the position embedding; on CUDA that ends the process.
            raise SegmentUnspeakableError(
                f"the segment has {text_tokens.size(1) - 2} text tokens and the model takes {hp.max_text_tokens}"
            )
        if hp.is_multilingual and (missing := MIN_MULTILINGUAL_TOKENS - text_tokens.size(1)) > 0:
            stop = text_tokens[:, -1:]
            text_tokens = torch.cat([F.pad(text_tokens[:, :-1], (0, missing), value=self._space_token), stop], dim=1)
        if text_tokens.size(0) == 1:
            # English without guidance comes as one row, but stock doubles the start of speech in any case. With a
            # weight of 0 the second row is computed and has no effect.
            text_tokens = torch.cat([text_tokens, text_tokens])
        return text_tokens

    def _checked(self, spoken: torch.Tensor) -> torch.Tensor:
        stop_token = self._t3.hp.stop_speech_token
        if int(spoken[0, -1]) != stop_token:
            raise NoEndOfSpeechError(
                f"the model did not come to an end within {spoken.size(1)} speech tokens ({spoken.size(1) / 25:g} s)"
            )
        # The multilingual model passes numbers on that S3Gen has no embedding for, which on CUDA ends the process.
        kept = spoken[:, :-1]
        kept = kept[kept < NUM_SPEECH_TOKENS].unsqueeze(0)
        if kept.size(1) == 0:
            raise SynthesisError("the model ended before it spoke")
        return torch.cat([kept, spoken[:, -1:]], dim=1)

    def _forget(self) -> None:
        """Undo what a call leaves behind in the model.

        The multilingual model adds three hooks for each call and never removes them, so that the hundredth call is
        several times slower than the first; it leaves attention on the slow path; and the last call's wrapper, with
        its hooks' data, stays as a submodule.
        """
        transformer = self._t3.tfmr
        for layer in transformer.layers:
            hooks = layer.self_attn._forward_hooks
            for number in [
                number for number, hook in hooks.items() if getattr(hook, "__module__", "") == _ANALYZER_MODULE
            ]:
                del hooks[number]
        transformer.config.output_attentions = False
        transformer.config._attn_implementation = self._attention
        if "patched_model" in self._t3._modules:
            del self._t3.patched_model
