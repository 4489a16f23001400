"""The embedded stack and a worker for as long as one command runs.

Knows nothing of what the command does with them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from producer.contract.errors import StackError
from producer.extras import require_extra
from producer.stack import EmbeddedStack

#: Starts of a worker process that may fail in a row before the command does. On a farm it would be tried for ever;
#: here somebody sits and waits.
MAX_FAILED_STARTS: Final = 3


@contextmanager
def local_stack(data_dir: Path, *, engine: str | None = None, has_worker: bool = True) -> Iterator[EmbeddedStack]:
    """Run the embedded stack, with one worker, and point this process at it.

    Args:
        data_dir: its folder.
        engine: which engine the worker runs; None: what CHATTERQUEUE_ENGINE says.
        has_worker: False: Redis and S3 alone.

    Raises:
        StackError: a part did not start.
        SettingsError: what a worker needs is not installed.
    """
    if has_worker:
        require_extra("worker")
    with EmbeddedStack(data_dir) as stack:
        os.environ.update(stack.environment())  # boto3 reads its credentials there
        if has_worker:
            stack.start_worker(
                "all",
                *("--max-failed-starts", str(MAX_FAILED_STARTS)),
                environment={"CHATTERQUEUE_ENGINE": engine} if engine else None,
            )
        try:
            yield stack
        except StackError:
            raise
        except Exception:
            stack.check()  # if a part has ended, that is the cause, and the error is how it was noticed
            raise
