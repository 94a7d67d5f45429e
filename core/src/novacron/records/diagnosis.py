"""Findings: what a diagnosis of a host or VM looked at, and what has to be repaired."""

from __future__ import annotations

from typing import Literal

from novacron.records.record import Record

FindingStatus = Literal["ok", "warning", "problem"]


class Finding(Record, frozen=True):
    """One check of a diagnosis.

    Attributes:
        check: What was checked, such as "kvm", "storage" or "guest agent".
        status: "ok", "warning" (it works, but not as well as it could) or "problem" (something does not work).
        subject: The host, VM, pool, network or file.
        message: What was found.
        hint: How to repair it; None where nothing has to be done.

    Example:
        >>> Finding(check="kvm", status="ok", subject="kvm1", message="guests run with KVM").hint is None
        True
    """

    check: str
    status: FindingStatus
    subject: str
    message: str
    hint: str | None = None


def ok(check: str, subject: str, message: str) -> Finding:
    """Return the finding of a check that found nothing wrong."""
    return Finding(check=check, status="ok", subject=subject, message=message)


def warning(check: str, subject: str, message: str, hint: str) -> Finding:
    """Return the finding of something that works, but not as well as it could."""
    return Finding(check=check, status="warning", subject=subject, message=message, hint=hint)


def problem(check: str, subject: str, message: str, hint: str) -> Finding:
    """Return the finding of something that does not work."""
    return Finding(check=check, status="problem", subject=subject, message=message, hint=hint)


__all__ = ["Finding", "FindingStatus", "ok", "problem", "warning"]
