"""The truth about every narration: one record each in Redis, changed only by small atomic scripts.

Knows nothing of Celery or S3. Celery delivers messages, at most roughly; the ledger decides what they are worth.
"""

from __future__ import annotations

from producer.ledger.access import MAX_WINDOW
from producer.ledger.ledger import Ledger
from producer.ledger.outcomes import Claim, ClaimOutcome, Creation, Dispatch, NewNarration, Outcome, Resend
from producer.ledger.record import LedgerRecord

__all__ = [
    "MAX_WINDOW",
    "Claim",
    "ClaimOutcome",
    "Creation",
    "Dispatch",
    "Ledger",
    "LedgerRecord",
    "NewNarration",
    "Outcome",
    "Resend",
]
