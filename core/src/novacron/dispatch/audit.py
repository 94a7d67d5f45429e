"""The audit policy: one JSON line for each changing operation: who, what, on what, how it ended, how long."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from novacron.dispatch.call import Call
from novacron.errors import NovaCronError
from novacron.hookspecs.operation import Operation
from novacron.redaction import redacted
from novacron.state import state_directory


class AuditPolicy:
    """Appends to `audit.jsonl`; secrets are redacted. A line that can't be written never fails the operation: it is counted."""

    stage = "audit"

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.lost = 0

    def applies(self, operation: Operation) -> bool:
        """All that changes something."""
        return not operation.reads

    def __call__(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        began, outcome, error = time.monotonic(), "failed", None
        try:
            result = proceed(call)
            outcome = "done"
            return result
        except NovaCronError as raised:
            outcome, error = raised.outcome, f"{type(raised).__name__}: {raised}"
            raise
        finally:
            self._write(call, outcome, error, time.monotonic() - began)

    def _write(self, call: Call, outcome: str, error: str | None, seconds: float) -> None:
        line = json.dumps(
            {
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "actor": call.actor,
                "operation": call.operation.name,
                "host": call.host,
                "resource": call.resource,
                "arguments": redacted(call.arguments),
                "outcome": outcome,
                "error": redacted(error),
                "seconds": round(seconds, 6),
            },
            default=str,
        )
        try:
            file = self._file or state_directory(create=True) / "audit.jsonl"
            descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line.encode() + b"\n")
            finally:
                os.close(descriptor)
        except OSError:
            self.lost += 1


__all__ = ["AuditPolicy"]
