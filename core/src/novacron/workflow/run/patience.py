"""How long a run waits for a state database that can't be reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from novacron.errors import StorageError

P = ParamSpec("P")
R = TypeVar("R")
DEFAULT = 300.0
"""Seconds that a run waits for its database before it is interrupted."""


class Patience:
    """Repeats calls while the database can't be reached.

    Args:
        seconds: how long to repeat a call before its error is raised.
    """

    def __init__(self, seconds: float = DEFAULT) -> None:
        self.seconds = seconds

    def call(self, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Return what the function returns. Raises StorageError when the time is over."""
        import tenacity

        repeated = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(StorageError),
            stop=tenacity.stop_after_delay(self.seconds),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=2),
            reraise=True,
        )
        return repeated(function, *arguments, **named)


__all__ = ["DEFAULT", "Patience"]
