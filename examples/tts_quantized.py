"""Speaks a sentence with Chatterbox, its T3 in int8, and saves it as a WAV file.

    python examples/tts_quantized.py --checkpoint DIR                        both models, if DIR holds both
    python examples/tts_quantized.py --checkpoint DIR --model multilingual --language fr --text "Bonjour."

Needs an NVIDIA GPU and bitsandbytes; `--full` speaks in full precision, on any device.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

# So that it runs from a checkout, without an installation.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from worker.errors import ModelLoadError, SynthesisError, WatermarkError

SENTENCES = {
    "english": "The weights of this model take a quarter of the memory.",
    "multilingual": "Les poids de ce modèle prennent quatre fois moins de place.",
}


def main() -> int:
    """Speak with each model and return the exit code."""
    arguments = parse()
    try:
        for name in find_models(arguments.checkpoint) if arguments.model == "both" else [arguments.model]:
            speak(name, arguments)
    except (ModelLoadError, WatermarkError) as error:
        print(f"cannot load the model: {error}", file=sys.stderr)  # noqa: T201
        return 8
    except SynthesisError as error:
        print(f"cannot speak: {error}", file=sys.stderr)  # noqa: T201
        return 3
    return 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Speak with an int8 Chatterbox.")
    parser.add_argument("--checkpoint", type=Path, required=True, help="the folder with the weights")
    parser.add_argument("--model", choices=["english", "multilingual", "both"], default="both")
    parser.add_argument("--text")
    parser.add_argument("--language", default="fr", help="of the multilingual model")
    parser.add_argument("--voice", type=Path, help="a recording to speak like; 10 s are enough")
    parser.add_argument("--device", default=None, help="cuda if there is one, else cpu")
    parser.add_argument("--full", action="store_true", help="full precision instead of int8")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the WAV files")
    return parser.parse_args()


def find_models(checkpoint: Path) -> list[str]:
    """Return the models whose T3 lies in a folder; the English one if there is none, so that its error is shown."""
    files = {"english": "t3_cfg.safetensors", "multilingual": "t3_mtl23ls_v2.safetensors"}
    return [name for name, file in files.items() if (checkpoint / file).exists()] or ["english"]


def speak(name: str, arguments: argparse.Namespace) -> None:
    """Load one model, speak, save."""
    import torch

    from worker.models import ChatterboxMultilingualTTS, ChatterboxTTS

    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    loading: type[Any] = {"english": ChatterboxTTS, "multilingual": ChatterboxMultilingualTTS}[name]
    started_s = time.perf_counter()
    model = loading.from_local(arguments.checkpoint, device, use_bnb_quantization=not arguments.full)
    loaded_s = time.perf_counter() - started_s
    language = [arguments.language] if name == "multilingual" else []
    started_s = time.perf_counter()
    samples = model.generate(arguments.text or SENTENCES[name], *language, audio_prompt_path=arguments.voice)
    spoken_s = time.perf_counter() - started_s
    path = save(samples, model.sr, arguments.out / f"{name}.wav")
    memory = f", {torch.cuda.memory_allocated() / 2**20:.0f} MiB on the GPU" if device == "cuda" else ""
    print(  # noqa: T201
        f"{name}: loaded in {loaded_s:.1f} s{memory}; {samples.shape[1] / model.sr:.1f} s of speech in "
        f"{spoken_s:.1f} s -> {path}"
    )


def save(samples: Any, sample_rate_hz: int, path: Path) -> Path:
    """Write [1, samples] as 16-bit WAV and return the path."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples[0].numpy(), sample_rate_hz, subtype="PCM_16")
    return path


if __name__ == "__main__":
    sys.exit(main())
