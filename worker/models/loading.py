"""How both Chatterbox classes of ours are loaded: everything is checked before the first weight is read.

Knows nothing of speaking. Mixed in, by way of `SafeSpeech`, before the class of chatterbox-tts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from worker.errors import ModelLoadError
from worker.models import checkpointparts
from worker.models.checkpoint import Parts, check_model
from worker.models.hub import fetch_from_hub, usable_device
from worker.models.int8_support import require_int8_support
from worker.models.prequantized import describe_source, is_current, save_quantized_t3
from worker.models.watermark import check_watermarker

if TYPE_CHECKING:
    from typing import Self

    import torch

    from worker.models.precision import Precision


class SafeLoading:
    """Loading, for a class of chatterbox-tts that this is mixed into."""

    #: Which files the checkpoint is made of.
    files: ClassVar[Parts]

    t3: Any

    @classmethod
    def from_pretrained(cls, device: str | torch.device, use_bnb_quantization: bool = False) -> Self:
        """Fetch the files from the hub, or take them from its cache, and load the model.

        Raises:
            ModelLoadError: see `from_local`; int8 is checked before anything is fetched.
        """
        if use_bnb_quantization:
            require_int8_support(device)
        return cls.from_local(fetch_from_hub(cls.files), usable_device(device), use_bnb_quantization)

    @classmethod
    def from_local(cls, ckpt_dir: str | Path, device: str | torch.device, use_bnb_quantization: bool = False) -> Self:
        """Load the model from a folder.

        Everything that can be wrong is looked at before the first weight is read.

        Args:
            ckpt_dir: the folder with the files, as `from_pretrained` fetches them.
            device: where the model runs.
            use_bnb_quantization: T3 in int8, which needs CUDA. If `save_int8` has written its file into the folder,
                that is read, and the full weights are not.

        Raises:
            ModelLoadError: the checkpoint is not whole or of the other model, or int8 does not run here.
            WatermarkError: the watermark is not installed.
        """
        directory = Path(ckpt_dir)
        int8_path = None
        if use_bnb_quantization:
            require_int8_support(device)
            beside = directory / cls.files.int8_t3
            int8_path = beside if is_current(beside, directory / cls.files.t3) else None
        precision: Precision = "int8" if use_bnb_quantization else "fp32"
        return cls.load(directory, device, precision=precision, int8_path=int8_path)

    @classmethod
    def load(
        cls,
        directory: Path,
        device: str | torch.device,
        *,
        precision: Precision = "fp32",
        int8_path: Path | None = None,
        files: Parts | None = None,
        rest_device: str | torch.device | None = None,
    ) -> Self:
        """Load the model with T3 in any precision, a prequantized T3 from any place, other file names: `from_local`.

        Args:
            directory: the folder with the files.
            device: where T3 goes, and the voices; everything if nothing else is said.
            precision: of T3.
            int8_path: an int8 T3.
            files: other names of the files.
            rest_device: where S3Gen and the voice encoder go. An engine that renders with weights of its own needs
                them for new voices only, and keeps a GPU's memory free of them.

        Raises:
            ModelLoadError: as `from_local`, and if the tokenizer is that of another model.
            WatermarkError: the watermark is not installed.
        """
        if precision == "int8":
            require_int8_support(device)
        check_watermarker()
        files = files or cls.files
        check_model(directory, files, int8_path=int8_path)
        t3 = checkpointparts.load_t3(directory, files, device, precision=precision, int8_path=int8_path)
        rest_device = device if rest_device is None else rest_device
        s3gen = checkpointparts.load_s3gen(directory, files, rest_device)
        voice_encoder = checkpointparts.load_voice_encoder(directory, files, rest_device)
        voice = checkpointparts.load_voice(directory / files.conditionals, device, cls._conditionals_class())
        tokenizer = cls._tokenizer_in(directory / files.tokenizer)
        _require_tokens_of(t3, tokenizer, directory / files.tokenizer)
        return cls(t3, s3gen, voice_encoder, tokenizer, device, conds=voice)  # type: ignore[call-arg]

    def save_int8(self, directory: str | Path) -> Path:
        """Write the int8 T3 beside the other files, so that the next start reads a quarter of the bytes.

        Raises:
            ModelLoadError: this T3 is not int8.
        """
        path = Path(directory) / self.files.int8_t3
        source = describe_source(Path(directory) / self.files.t3)
        save_quantized_t3(self.t3, path, metadata={"model": self.files.model.value, **source})
        return path

    @classmethod
    def _tokenizer_in(cls, path: Path) -> Any:
        try:
            return cls._load_tokenizer(path)
        except ModelLoadError:
            raise
        except Exception as exc:  # tokenizers raises bare ones
            reason = str(exc).strip().split("\n")[0]
            raise ModelLoadError(f"{path} is no tokenizer of the {cls.files.model.value} model: {reason}") from exc

    @classmethod
    def _conditionals_class(cls) -> Any:
        raise NotImplementedError

    @classmethod
    def _load_tokenizer(cls, path: Path) -> Any:
        raise NotImplementedError


def _require_tokens_of(t3: Any, tokenizer: Any, path: Path) -> None:
    """Raise ModelLoadError if a tokenizer can give a token that T3 has no embedding for; CUDA would not survive it."""
    highest = max(tokenizer.tokenizer.get_vocab().values())
    if highest >= t3.hp.text_tokens_dict_size:
        raise ModelLoadError(
            f"{path} belongs to another model: its token {highest} is beyond the {t3.hp.text_tokens_dict_size} "
            "that T3 knows"
        )
