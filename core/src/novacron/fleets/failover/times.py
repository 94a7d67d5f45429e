"""How long the parts of a failover took, as people read it in its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Times:
    """Measures one failover in this process.

    Args:
        clock: returns a time that never jumps, in seconds.
        silent: for how many seconds the node had been silent when its failover began; None if another process has begun it.

    Example:
        >>> now = iter([100.0, 103.5, 104.0, 104.2, 110.0])
        >>> times = Times(lambda: next(now), silent=15.0)
        >>> times.fenced()
        >>> with times.asking():
        ...     pass
        >>> str(times)
        'it took 25.0 s: silent 15.0 s, fencing 3.5 s, restart 6.5 s (in 1 round, asking the other hosts 0.2 s)'
    """

    def __init__(self, clock: Callable[[], float], silent: float | None = None) -> None:
        self._clock, self._silent = clock, silent
        self._began, self._asking, self._rounds = clock(), 0.0, 0
        self._off: float | None = None

    def fenced(self) -> None:
        """Note that the node is off."""
        self._off = self._clock()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Measure how long the other hosts are asked for their VMs, which each round of the restart begins with."""
        began, self._rounds = self._clock(), self._rounds + 1
        try:
            yield
        finally:
            self._asking += self._clock() - began

    def __str__(self) -> str:
        now, parts = self._clock(), []
        if self._silent is not None:
            parts.append(f"silent {self._silent:.1f} s")
        if self._off is not None:
            parts.append(f"fencing {self._off - self._began:.1f} s")
        restart = now - (self._began if self._off is None else self._off)
        rounds = f"{self._rounds} round" + ("" if self._rounds == 1 else "s")
        parts.append(f"restart {restart:.1f} s (in {rounds}, asking the other hosts {self._asking:.1f} s)")
        return f"it took {now - self._began + (self._silent or 0.0):.1f} s: {', '.join(parts)}"


__all__ = ["Times"]
