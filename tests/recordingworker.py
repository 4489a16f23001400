"""A worker app that writes down its calls to S3; `celery -A recordingworker worker` runs it in tests."""

from __future__ import annotations

import os
from pathlib import Path

from recordedcalls import record_calls

record_calls(Path(os.environ["CALLS_OF_S3"]))

from worker.app import app  # noqa: E402 - after botocore was told to keep records

__all__ = ["app"]
