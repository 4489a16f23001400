"""What every test starts from: an environment that holds none of the developer's own settings."""

from __future__ import annotations

import os

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Forget the developer's settings and keys before anything reads them, also in processes that tests start."""
    for name in list(os.environ):
        if name.startswith(("CHATTERQUEUE_", "AWS_")):
            del os.environ[name]
    # Files of tests run side by side; more threads in each would only take the cores from one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # boto3 must find only the keys that a test sets, and must not ask a cloud's metadata service for others.
    os.environ["AWS_CONFIG_FILE"] = os.devnull
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
