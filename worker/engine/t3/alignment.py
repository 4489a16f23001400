"""Watches where in the text each slot of the multilingual T3 is."""

from __future__ import annotations

from typing import Any

AlignmentWatch = Any
