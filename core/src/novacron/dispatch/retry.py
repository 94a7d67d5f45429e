"""The retry policy: repeats calls that were not sent, and reads whose answer was lost. Never repeats a possible change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from novacron.dispatch.call import Call
from novacron.errors import HostConnectionError
from novacron.hookspecs.operation import Operation


class RetryPolicy:
    """Tries up to `attempts` times, with increasing pauses that start at `pause` seconds, until the call's deadline.

    A changing operation is repeated only if the error's outcome is `not_sent`. The driver handles unknown outcomes.
    """

    stage = "retry"

    def __init__(self, attempts: int = 3, pause: float = 0.1) -> None:
        self.attempts, self.pause = attempts, pause

    def applies(self, operation: Operation) -> bool:
        """All operations."""
        return True

    def __call__(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        try:
            return proceed(call)
        except HostConnectionError as error:
            if not _worth_it(call, error):
                raise
        import tenacity  # only now: most calls never need it

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.attempts - 1) | tenacity.stop_after_delay(call.remaining()),
            wait=tenacity.wait_random_exponential(multiplier=self.pause, max=2.0),
            retry=tenacity.retry_if_exception(lambda e: isinstance(e, HostConnectionError) and _worth_it(call, e)),
            reraise=True,
        )
        return retrying(proceed, call)


def _worth_it(call: Call, error: HostConnectionError) -> bool:
    if call.remaining() <= 0 or (call.job is not None and call.job.cancel_asked):
        return False
    return error.outcome == "not_sent" or (error.outcome == "unknown" and call.operation.reads)


__all__ = ["RetryPolicy"]
