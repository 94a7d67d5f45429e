"""Waits for a long operation, or returns a job whose result is a handle."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from novacron.jobs import Job

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle


R = TypeVar("R")


def finish(
    host: HostHandle,
    operation: str,
    wrap: Callable[[Any], R],
    *,
    wait: bool,
    timeout: float | None = None,
    **arguments: Any,
) -> R | Job[R]:
    """Run a long operation. Return `wrap(result)` if `wait` is true, otherwise a Job with that result."""
    if wait:
        return wrap(host.invoke(operation, timeout, **arguments))
    return _Following(host.submit(operation, timeout, **arguments), wrap)


class _Following(Job[Any]):
    """A job that follows another and wraps its result."""

    def __init__(self, inner: Job[Any], wrap: Callable[[Any], Any]) -> None:
        super().__init__(inner.operation, inner.resource)
        self._inner = inner
        self.deadline = inner.deadline
        self.set_running_or_notify_cancel()

        def ended(_: Any) -> None:
            error = inner.exception()
            if error is not None:
                self.set_exception(error)
                return
            try:
                self.set_result(wrap(inner.result()))
            except Exception as failure:  # noqa: BLE001 - carried to the caller
                self.set_exception(failure)

        inner.listen(lambda p: self.report(p.message, p.fraction, **p.details))
        inner.add_done_callback(ended)

    def cancel(self) -> bool:
        """Ask the operation to stop and roll back."""
        self._cancel_asked.set()
        return self._inner.cancel()


__all__ = ["finish"]
