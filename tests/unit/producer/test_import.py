"""`import producer` is cheap: it brings in nothing heavy, and its names are those it promises."""

from __future__ import annotations

import subprocess
import sys

import producer

#: What takes long to import, or must never be needed by a producer.
HEAVY = ("boto3", "celery", "numpy", "redis", "rich", "torch", "typer", "worker")


def test_importing_the_producer_brings_in_nothing_heavy():
    script = f"import sys, producer; print([name for name in {HEAVY} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_every_public_name_is_there_and_the_list_is_sorted():
    assert producer.__all__ == sorted(producer.__all__)
    assert all(hasattr(producer, name) for name in producer.__all__)
