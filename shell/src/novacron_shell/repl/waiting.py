"""`wait(...)` and `watch(...)` at the prompt."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, overload, runtime_checkable

from rich.console import Console, RenderableType
from rich.live import Live

from novacron.errors import InvalidSpecError, NovaCronError, OperationTimeoutError, SpecProblem
from novacron.handles.vm import VMHandle
from novacron.handles.waiting import wait_for
from novacron.units import parse_duration
from novacron_shell.repl.display import Displays, error_line
from novacron_shell.repl.pipes import Action, Outcomes, Selection

T = TypeVar("T", covariant=True)
INTERVAL = 0.5
"""Seconds between two looks at a condition."""


@runtime_checkable
class Waitable(Protocol[T]):
    """A job, or a run of a workflow."""

    def wait(self, timeout: float | None = None) -> T:
        """Return the result."""
        ...


@overload
def wait(what: str, *, timeout: float | str = ...) -> Action: ...
@overload
def wait(what: VMHandle, condition: str, *, timeout: float | str = ...) -> object: ...
@overload
def wait(what: Selection, condition: str, *, timeout: float | str = ...) -> Outcomes: ...
@overload
def wait(what: Waitable[T], *, timeout: float | str = ...) -> T: ...
@overload
def wait(what: Callable[[], T], *, timeout: float | str = ...) -> T: ...
def wait(what: Any, condition: str | None = None, *, timeout: float | str = "5m") -> Any:
    """Wait for a VM, several VMs, a job, a run or any condition.

    Args:
        what: a VM or a selection with a `condition`; a job or a run; a function without arguments, to wait until it returns something
            true; or a condition alone, for a pipe: `vms | start | wait("agent")`.
        condition: a status ("running", "stopped", ...), "agent", "ip", "ssh" or "cloud-init".
        timeout: longest time to wait, in seconds or as text such as "5m".

    Returns:
        The observed value of a VM, the outcomes of several VMs, the result of a job, run or function; an action for a condition alone.

    Raises:
        OperationTimeoutError: it did not happen in time.
        InvalidSpecError: the condition is unknown, or nothing can be waited for.

    Example:
        >>> import novacron
        >>> vm = novacron.connect("sim://waited?vms=1").vms["vm-00001"]
        >>> wait(vm, "running"), wait(lambda: vm.refresh().status), wait(vm.host.submit("vm_stop", vm=vm.id)).status
        ('running', 'running', 'stopped')
        >>> [vm] | wait("stopped")
        <wait for stopped: 1 of 1 done>
    """
    if isinstance(what, str) and condition is None:
        return Action(f"wait for {what}", lambda vm: wait_for(vm, what, timeout=timeout))
    if isinstance(what, VMHandle) and condition is not None:
        return wait_for(what, condition, timeout=timeout)
    if isinstance(what, Selection) and condition is not None:
        return what | wait(condition, timeout=timeout)
    if isinstance(what, Waitable) and condition is None and not isinstance(what, VMHandle):
        return what.wait(parse_duration(timeout))
    if callable(what) and condition is None:
        return _until(what, parse_duration(timeout))
    problem = SpecProblem("what", repr(what), 'a VM and a condition, as in wait(vm, "running"); a job; a run; or a function')
    raise InvalidSpecError("nothing to wait for", problems=[problem], outcome="not_sent")


def _until(condition: Callable[[], T], seconds: float) -> T:
    until, pause = time.monotonic() + seconds, threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= until:
            raise OperationTimeoutError(
                f"the condition does not hold after {seconds:g} s: {value!r}", hint="use a longer timeout"
            )
        pause.wait(INTERVAL)


class Watch:
    """`watch(lambda: ...)`: shows a value again and again, in place, until Ctrl-C.

    Args:
        console: where it is shown.
        displays: how values are shown.
    """

    def __init__(self, console: Console, displays: Displays) -> None:
        self._console, self._displays = console, displays

    def __repr__(self) -> str:
        return "<watch(lambda: ...): shows a value again and again until Ctrl-C>"

    def __call__(self, what: Callable[[], T], every: float | str = 1.0, *, times: int | None = None) -> None:
        """Show what a function returns, again and again in the same place. Ctrl-C ends it; so does the end of the count.

        An error is shown like a value, and the next try may succeed. What is longer than the terminal is cut.

        Args:
            what: a function without arguments: `watch(lambda: vms.where(status="running"))`.
            every: seconds between two calls, or text such as "5s".
            times: how often it is shown; None for no limit.

        Raises:
            InvalidSpecError: `what` can't be called.
        """
        if not callable(what):
            problem = SpecProblem("what", repr(what), "a function without arguments, such as lambda: vms")
            raise InvalidSpecError("watch needs a function, to call it again and again", problems=[problem], outcome="not_sent")
        seconds, pause, left = parse_duration(every), threading.Event(), times
        try:
            with Live(console=self._console, auto_refresh=False, vertical_overflow="ellipsis") as live:
                while left is None or left > 0:
                    live.update(self._drawn(what), refresh=True)
                    left = None if left is None else left - 1
                    if left != 0:
                        pause.wait(seconds)
        except KeyboardInterrupt:
            return

    def _drawn(self, what: Callable[[], object]) -> RenderableType:
        try:
            value = what()
        except NovaCronError as error:
            return error_line(error)
        return self._displays.drawn(value)


def waiting_names(console: Console, displays: Displays) -> dict[str, Any]:
    """Return the names `wait` and `watch` of a session."""
    return {"wait": wait, "watch": Watch(console, displays)}


__all__ = ["Waitable", "Watch", "wait", "waiting_names"]
