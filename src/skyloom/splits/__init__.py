"""Who may see what: dealing samples to sides, and the audit that proves that nothing leaks. No torch."""

from skyloom.splits.assign import ByCorner, ByGroup, BySample, BySlab, ByTime
from skyloom.splits.audit import AuditedSplit, audit
from skyloom.splits.checks import Check
from skyloom.splits.fingerprint import fingerprint
from skyloom.splits.foreign import check_foreign
from skyloom.splits.held_out import ByHeldOut
from skyloom.splits.record import Split

__all__ = [
    "AuditedSplit",
    "ByCorner",
    "ByGroup",
    "ByHeldOut",
    "BySample",
    "BySlab",
    "ByTime",
    "Check",
    "Split",
    "audit",
    "check_foreign",
    "fingerprint",
]
