"""Checks of what is promised: reads Redis and S3, changes nothing, names every broken invariant.

Knows nothing of how its findings are printed.
"""

from __future__ import annotations

from producer.audit.audit import Audit
from producer.audit.report import Invariant, Report, Violation
from producer.audit.scope import Scope

__all__ = ["Audit", "Invariant", "Report", "Scope", "Violation"]
