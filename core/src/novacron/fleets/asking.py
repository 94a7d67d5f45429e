"""Asks many hosts at once. A host that does not answer delays no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from novacron.errors import DriverError, InvalidSpecError, NovaCronError, OperationTimeoutError, SpecProblem
from novacron.fleets.hosts import FleetHosts
from novacron.handles.host import HostHandle
from novacron.store.hosts import RegisteredHost
from novacron.threads import fan_out
from novacron.units import parse_duration

ASKED_AT_ONCE = 32
"""How many hosts are asked at a time."""


class Answer(NamedTuple):
    """What one host of a fleet answered: a value, or the error that came instead."""

    host: str
    value: Any = None
    error: NovaCronError | None = None


class Askable(Protocol):
    """A fleet as the parts that query its hosts see it.

    Attributes:
        controls_failover: whether a failover controller was made in this process.
    """

    controls_failover: bool

    @property
    def hosts(self) -> FleetHosts:
        """The registered hosts, connected when asked for."""
        ...

    def list(self) -> Sequence[RegisteredHost]:
        """Return all registered hosts."""
        ...

    def ask(
        self, hosts: Iterable[str | HostHandle], what: Callable[[HostHandle], Any], *, timeout: float | str | None = ...
    ) -> Sequence[Answer]:
        """Ask many hosts at once."""
        ...


def ask_all(
    find: Callable[[str], HostHandle],
    hosts: Iterable[str | HostHandle],
    what: Callable[[HostHandle], Any],
    timeout: float | str | None,
    limit: int,
) -> Sequence[Answer]:
    """Call `what` with each host in threads, and return one answer for each, in order. `find` connects to a host by name."""
    if not isinstance(limit, int) or limit < 1:
        raise InvalidSpecError("invalid limit", problems=[SpecProblem("limit", str(limit), "a number of at least 1")])
    asked = list(hosts)
    seconds = None if timeout is None else parse_duration(timeout)

    def work(host: str | HostHandle) -> Any:
        return what(find(host) if isinstance(host, str) else host)

    futures = fan_out(asked, work, seconds=seconds, limit=limit, name="novacron-ask")
    names = [host if isinstance(host, str) else host.name for host in asked]
    return [_answer(name, future, seconds) for name, future in zip(names, futures, strict=True)]


def _answer(name: str, future: Any, seconds: float | None) -> Answer:
    if not future.done():
        return Answer(
            name,
            error=OperationTimeoutError(
                f"{name} did not answer within {seconds:g} s", host=name, outcome="unknown", hint="check the host, or wait longer"
            ),
        )
    error = future.exception()
    if error is None:
        return Answer(name, future.result())
    if isinstance(error, NovaCronError):
        error.host = error.host or name
        return Answer(name, error=error)
    if not isinstance(error, Exception):
        raise error
    defect = DriverError(f"asking {name} failed: {type(error).__name__}: {error}", host=name, outcome="unknown")
    defect.__cause__ = error
    return Answer(name, error=defect)


__all__ = ["ASKED_AT_ONCE", "Answer", "Askable", "ask_all"]
