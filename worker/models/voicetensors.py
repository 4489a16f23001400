"""A voice's conditionals as named tensors, and back: what can be written to a file that holds nothing else.

Knows nothing of files. `Conditionals` are those of chatterbox-tts: `t3`, a `T3Cond`, and `gen`, a dictionary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from worker.errors import ModelLoadError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

#: What a voice cannot do without; the shapes are those of chatterbox-tts 0.1.7.
#: speaker_emb [1, 256], cond_prompt_speech_tokens [1, T], emotion_adv [1, 1, 1]; prompt_token [1, T],
#: prompt_token_len [1], prompt_feat [1, 2 T, 80], embedding [1, 192].
_REQUIRED: Final = {
    "t3": ("speaker_emb", "cond_prompt_speech_tokens", "emotion_adv"),
    "gen": ("prompt_token", "prompt_token_len", "prompt_feat", "embedding"),
}
#: Parts that a voice may have or not, and has not where it is None.
_OPTIONAL: Final = {"t3": ("clap_emb", "cond_prompt_speech_emb"), "gen": ("prompt_feat_len",)}


def tensors_of(voice: Any) -> dict[str, torch.Tensor]:
    """Return the tensors of a voice by `<part>.<name>`, contiguous, on the CPU.

    Raises:
        ModelLoadError: it holds something else, as those of another version of chatterbox-tts may.
    """
    import torch

    tensors: dict[str, torch.Tensor] = {}
    for part, values in (("t3", vars(voice.t3)), ("gen", voice.gen)):
        for name, value in values.items():
            if value is None:
                continue
            if not torch.is_tensor(value):
                raise ModelLoadError(f"the voice's {part}.{name} is no tensor")
            # A copy: two names may share their memory, which a file of tensors cannot say.
            tensors[f"{part}.{name}"] = value.detach().cpu().contiguous().clone()
    _require_names(tensors)
    return tensors


def voice_from(tensors: Mapping[str, torch.Tensor], conditionals: Any) -> Any:
    """Return the voice that these tensors are of, where they are.

    Args:
        tensors: of `tensors_of`.
        conditionals: the class `Conditionals` of the model.

    Raises:
        ModelLoadError: a name is missing or unknown.
    """
    from chatterbox.models.t3.modules.cond_enc import T3Cond

    _require_names(tensors)
    parts: dict[str, dict[str, Any]] = {part: dict.fromkeys(names) for part, names in _OPTIONAL.items()}
    for key, tensor in tensors.items():
        part, _, name = key.partition(".")
        parts[part][name] = tensor
    return conditionals(T3Cond(**parts["t3"]), parts["gen"])


def _require_names(tensors: Mapping[str, torch.Tensor]) -> None:
    required = {f"{part}.{name}" for part, names in _REQUIRED.items() for name in names}
    optional = {f"{part}.{name}" for part, names in _OPTIONAL.items() for name in names}
    odd = (required - set(tensors)) | (set(tensors) - required - optional)
    if odd:
        raise ModelLoadError(f"these are not the tensors of a voice: {', '.join(sorted(odd))}")
