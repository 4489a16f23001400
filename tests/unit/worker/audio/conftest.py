from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

#: Chosen for their edges: a stop, an open vowel, and consonants that fade away.
SENTENCES = (
    "Stop.",
    "Fifth, the south path.",
    "Hush, she said, and shut the book.",
    "If half of it is a laugh, thought Beth.",
    "The sea was three and a half miles off, and the wind had turned to the north with a great noise.",
)


@pytest.fixture(scope="session")
def spoken() -> list[NDArray[np.int16]]:
    """What the draft voice says, at 24 kHz, as it is stored."""
    from hibari import Hibari

    voice = Hibari(threads=1)
    return [np.rint(np.clip(voice(text, seed=0), -1.0, 1.0) * 32_767).astype(np.int16) for text in SENTENCES]
