"""What keeps the farm's memory in order: rebuilds a ledger that was lost, writes down what that needs, clears away.

One process at a time does it, in a thread of its own. It does not know the work on narrations.
"""

from __future__ import annotations

from worker.upkeep.upkeep import Upkeep

__all__ = ["Upkeep"]
