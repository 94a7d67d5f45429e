"""The simulated memory transfer of a migration: rounds over the remaining memory, while the guest dirties more."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from novacron.errors import OperationTimeoutError
from novacron.jobs import Job, remaining_seconds

if TYPE_CHECKING:
    from novacron.specs.migration import MigrationSpec

POLL = 0.02
"""Seconds between two reports."""
DOWNTIME = 0.05
"""Default for the longest pause of the guest, in seconds."""
_STEPS = 4


class Transfer:
    """The state of one migration. `sent` and `left` are bytes."""

    def __init__(self, memory: int, disks: int, dirty: int, spec: MigrationSpec) -> None:
        self.total = memory + disks
        self.left = float(self.total)
        self.sent = 0
        self._dirty = dirty
        self._bandwidth = spec.bandwidth
        self._max_downtime = spec.max_downtime or DOWNTIME
        self._post_copy = False
        self._deadline = time.monotonic() + spec.deadline
        self._seconds = spec.deadline

    def tune(self, bandwidth: int | None, max_downtime: float | None, post_copy: bool) -> None:
        """Change the given settings."""
        self._bandwidth = bandwidth or self._bandwidth
        self._max_downtime = max_downtime or self._max_downtime
        self._post_copy = self._post_copy or post_copy

    def downtime(self) -> float:
        """Return the pause of the guest at the end, in seconds."""
        return 0.0 if not self.total else self.left / self._bandwidth if self._bandwidth else 0.001

    def run(self, job: Job[Any], checkpoint: Callable[[], None]) -> None:
        """Transfer memory until the rest fits into the downtime. `checkpoint` is called half-way.

        Raises:
            OperationCancelledError, OperationTimeoutError: nothing was changed.
        """
        self._report(job)
        if not self._bandwidth:
            for step in range(1, _STEPS + 1):
                self._advance(self.total / _STEPS, 0.0)
                self._report(job)
                if step == _STEPS // 2:
                    checkpoint()
                self._check(job)
            return
        checked, last = False, time.monotonic()
        while self.left > self._bandwidth * self._max_downtime and not self._post_copy:
            if not checked and self.sent >= self.total / 2:
                checked = True
                checkpoint()
            self._check(job)
            job.wait_cancelled(POLL)
            now = time.monotonic()
            self._advance(self._bandwidth * (now - last), self._dirty * (now - last))
            last = now
            self._report(job)
        if not checked:
            checkpoint()
        self._check(job)

    def _advance(self, sent: float, dirtied: float) -> None:
        sent = min(sent, self.left)
        self.sent += int(sent)
        self.left = min(self.total, self.left - sent + dirtied)

    def _check(self, job: Job[Any]) -> None:
        job.raise_if_cancelled()
        if time.monotonic() > self._deadline:
            raise OperationTimeoutError(
                f"the migration did not end within {self._seconds:g} s",
                resource=job.resource,
                hint="use more bandwidth, a longer max_downtime or deadline, or post_copy",
            )

    def _report(self, job: Job[Any]) -> None:
        job.report(
            "migrating",
            min(0.99, 1 - self.left / self.total) if self.total else None,
            transferred_bytes=self.sent,
            remaining_bytes=int(self.left),
            total_bytes=self.total,
            downtime_seconds=self.downtime(),
            remaining_seconds=remaining_seconds(self.left, self._bandwidth or 0, self._dirty),
        )


__all__ = ["Transfer"]
