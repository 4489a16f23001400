from __future__ import annotations

from processes import start_script

_MAKE_AND_IMPORT = """
import sys
from pathlib import Path
from worker.engine.chatterboxmaker import ChatterboxMaker
ChatterboxMaker(
    model_dir=Path("nowhere"), cache_dir=Path("nowhere"), device="cpu", precision="int8", verification="full",
    is_lock_required=False, num_threads=1, max_cached_voices=1, max_slots=1, max_render_frames=None,
).make()
import bitsandbytes
print("torch._inductor.compile_fx" in sys.modules)
"""


def test_an_engine_that_was_made_imports_bitsandbytes_without_a_compiler():
    """It takes three seconds of a start, and nothing of ours is compiled by torch."""
    with start_script(_MAKE_AND_IMPORT) as process:
        told, _ = process.communicate(timeout=120)
    assert told.strip() == "False"
