"""The hosts and VMs that the common options name."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from novacron_shell.output import Format, tell

if TYPE_CHECKING:
    from novacron.errors import NovaCronError
    from novacron.fleets import Answer
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron_shell.config import Config

T = TypeVar("T")
PARTLY = 3
"""Exit code of a command that did a part of what was asked: some hosts or VMs failed. docs/command-line.md lists all codes."""
FLEET_TIMEOUT, HOST_TIMEOUT = 10.0, 30.0
"""Seconds that each host of a fleet, and a host that was named, has to answer unless `--timeout` says otherwise."""


class Settings:
    """What the common options say. An option after the command wins over one before it."""

    def __init__(
        self, connect: str | None = None, host: str | None = None, output: str | None = None, timeout: float | None = None
    ) -> None:
        self.connect, self.host_name, self.output_format, self.timeout = connect, host, output, timeout
        self.columns: tuple[str, ...] = ()
        self.sort: str | None = None
        self.unreachable: dict[str, NovaCronError] = {}
        self.prompts = True
        """Whether a password that is nowhere else is asked for at the terminal."""
        self._open: dict[str, HostHandle] = {}

    def over(self, outer: Settings | None) -> Settings:
        """Return these settings, with what they leave open taken from `outer`."""
        if outer is None:
            return self
        place = (self.connect, self.host_name) if self.connect or self.host_name else (outer.connect, outer.host_name)
        return outer.derived(*place, self.output_format or outer.output_format, self.timeout or outer.timeout)

    def complete(self, config: Config, current: str | None) -> None:
        """Take what was left open from the environment, from the host that was chosen with `host use`, and from the configuration file.

        An option wins over the environment, wherever it stands: a command must not act on another host than the one that it names.
        """
        if not self.named:
            self.choose(current or config.host)
        self.output_format = self.output_format or config.output
        self.timeout = self.timeout or config.timeout

    def choose(self, default: str | None) -> None:
        """Take the host of the environment, otherwise `default`."""
        self.connect, self.host_name = os.environ.get("NOVACRON_CONNECT"), os.environ.get("NOVACRON_HOST")
        if not self.named:
            self.host_name = default

    def derived(self, connect: str | None, host: str | None, output: str | None, timeout: float | None) -> Settings:
        """Return settings of the same kind with other options. The interactive shell's settings keep its connections."""
        return Settings(connect, host, output, timeout)

    def known_vms(self) -> dict[str, list[str]]:
        """Return the names of VMs by host, for completion. Nothing is asked: they are what listings saw last."""
        from novacron_shell.completion import known

        return known()

    @property
    def output(self) -> Format:
        """The output format, with the columns and the sort key that were asked for."""
        return Format(self.output_format or "table").with_choice(self.columns, self.sort)

    @property
    def named(self) -> bool:
        """Whether one host was named."""
        return bool(self.connect or self.host_name)

    @property
    def placement(self) -> tuple[str | None] | None:
        """The group of `--host auto:GROUP` in a tuple, whose item is None for `--host auto`; None if a host was named."""
        name, colon, group = (self.host_name or "").partition(":")
        if name != "auto" or self.connect or name in self.fleet():
            return None
        return (group if colon else None,)

    def open(self, place: str) -> HostHandle:
        """Connect to a host of the fleet by name, or by URI. A password that is nowhere else is prompted for."""
        known = self._connected(place)
        if known is not None:
            return known
        from novacron import connect, fleet

        seconds = self.timeout or HOST_TIMEOUT

        def connected(**options: Any) -> HostHandle:
            if "://" in place:
                return connect(place, timeout=seconds, **options)
            return fleet().hosts.open(place, timeout=seconds, **options)

        host = self._open[place] = _prompting(connected) if self.prompts else connected()
        return host

    def host(self) -> HostHandle:
        """Return the host that was named. Without a name the fleet's only host, or the local one when the fleet is empty.

        Raises:
            InvalidSpecError: The fleet has several hosts and none was named.
        """
        from novacron.errors import InvalidSpecError, SpecProblem

        if self.connect and self.host_name:
            raise InvalidSpecError("give either -c/--connect or --host", problems=[])
        if self.placement is not None:
            problem = SpecProblem("host", self.host_name or "", "the name of a host")
            raise InvalidSpecError(
                "a host is only chosen automatically for a new VM", problems=[problem], hint="give --host NAME"
            )
        if self.named:
            return self.open(self.connect or self.host_name or "")
        names = self.fleet()
        if len(names) > 1:
            raise InvalidSpecError(
                "no host given",
                problems=[SpecProblem("host", "missing", f"one of {', '.join(names)}")],
                hint="give --host NAME or -c URI",
            )
        if names:
            return self.open(names[0])
        from novacron import connect

        if "" not in self._open:
            self._open[""] = connect(timeout=self.timeout or HOST_TIMEOUT)
        return self._open[""]

    def ask(self, what: Callable[[HostHandle], T]) -> list[T]:
        """Return what the named host answers, or all hosts of the fleet in the order of their names.

        A host that does not answer costs only its own answer: it is named on stderr, and the command ends with `PARTLY`.

        Raises:
            NovaCronError: No host answered; the error of the first.
        """
        names = [] if self.named else self.fleet()
        if len(names) < 2:
            return [what(self.host())]
        answers = self._answers(names, what)
        failed = {answer.host: answer.error for answer in answers if answer.error is not None}
        if len(failed) == len(answers):
            raise next(iter(failed.values()))
        for name, error in failed.items():
            if name not in self.unreachable:
                tell(f"error: {name}: {error}")
        self.unreachable |= failed
        return [answer.value for answer in answers if answer.error is None]

    def states(self, names: Sequence[str]) -> dict[str, str]:
        """Return "up" for each host that answers, otherwise "down" and why."""
        answers = self._answers(names, lambda host: host.ping())
        return {answer.host: "up" if answer.error is None else f"down: {answer.error}" for answer in answers}

    def gather(self, operation: str) -> list[Any]:
        """Return the records that a listing operation gives, of the named host or of all hosts of the fleet.

        Hosts whose driver does not offer the operation are left out when others do.
        """
        offered = self.ask(lambda host: (host.supports(operation), host))
        if len(offered) == 1 or not any(supported for supported, _ in offered):
            return list(offered[0][1].invoke(operation))
        found = self.ask(lambda host: host.invoke(operation) if host.supports(operation) else ())
        return [record for records in found for record in records]

    def gather_from_owners(self, what: Callable[[HostHandle], Iterable[T]]) -> list[T]:
        """Return what the named host answers, or all hosts of the fleet that have the resource, together.

        Raises:
            NotFoundError: No host has the resource.
            UnsupportedOperationError: No host that has it offers the operation.
        """
        from novacron.errors import NotFoundError, UnsupportedOperationError

        def tried(host: HostHandle) -> list[T] | NovaCronError:
            try:
                return list(what(host))
            except (NotFoundError, UnsupportedOperationError) as error:
                return error

        answers = self.ask(tried)
        found = [answer for answer in answers if isinstance(answer, list)]
        for answer in answers:
            if not found and not isinstance(answer, list):
                raise answer
        return [record for records in found for record in records]

    def vm(self, name: str) -> VMHandle:
        """Find a VM by name, UUID or HOST/NAME, on the host that was named or in the whole fleet.

        Raises:
            VMNotFoundError: No host has it. Hosts that did not answer are named.
            InvalidSpecError: Several hosts have a VM of that name.
        """
        from novacron.errors import InvalidSpecError, SpecProblem, VMNotFoundError

        names = [] if self.named else self.fleet()
        place, slash, rest = name.partition("/")
        if slash and place in names:
            return self.open(place).vms[rest]
        if len(names) < 2:
            return self.host().vms[name]
        answers = self._answers(names, lambda host: host.vms[name])
        found: list[VMHandle] = [answer.value for answer in answers if answer.error is None]
        if len(found) == 1:
            return found[0]
        if found:
            hosts = [vm.host.name for vm in found]
            raise InvalidSpecError(
                f"several hosts have a VM {name!r}",
                problems=[SpecProblem("host", "missing", f"one of {', '.join(hosts)}")],
                hint=f"give --host NAME, or {hosts[0]}/{name}",
            )
        failed = [f"{a.host}: {a.error}" for a in answers if not isinstance(a.error, VMNotFoundError)]
        more = f"; no answer from {'; '.join(failed)}" if failed else ""
        similar = dict.fromkeys(str(a.error.hint) for a in answers if a.error is not None and "did you mean" in str(a.error.hint))
        raise VMNotFoundError(f"no VM named {name!r} on {', '.join(names)}{more}", hint=" ".join(similar) or None)

    def vms(self, chosen: str) -> list[VMHandle]:
        """Return the VMs that comma-separated selectors choose; see `novacron_shell.selection`."""
        from novacron_shell.selection import select

        return select(self, [chosen])

    def fleet(self) -> Sequence[str]:
        """Return the names of the fleet's hosts."""
        from novacron import fleet

        return [host.name for host in fleet().list()]

    def connections(self, names: Sequence[str]) -> list[HostHandle | str]:
        """Return the connection to each of these hosts; the name where there is none yet, as `fleet.ask` takes it."""
        return [self._connected(name) or name for name in names]

    def close(self) -> None:
        """Close the connections that were opened."""
        while self._open:
            name, host = self._open.popitem()
            if name not in self.unreachable:  # closing the connection to a host that hangs would hang
                host.close()

    def _connected(self, place: str) -> HostHandle | None:
        known = self._open.get(place)
        return None if known is None or known.closed else known

    def _answers(self, names: Sequence[str], what: Callable[[HostHandle], Any]) -> list[Answer]:
        from novacron import fleet
        from novacron.errors import AuthenticationError
        from novacron.fleets import Answer

        def asked(host: HostHandle) -> Any:
            self._open[host.name] = host
            return what(host)

        answers = list(fleet().ask(self.connections(names), asked, timeout=self.timeout or FLEET_TIMEOUT))
        for number, answer in enumerate(answers):
            if isinstance(answer.error, AuthenticationError) and answer.error.details.get("option") and sys.stdin.isatty():
                answers[number] = Answer(answer.host, value=what(self.open(answer.host)))
        return answers


def _prompting(connect: Callable[..., HostHandle]) -> HostHandle:
    """Connect. A password that is nowhere else is asked for at the terminal, and is not stored."""
    from novacron.errors import AuthenticationError

    try:
        return connect()
    except AuthenticationError as error:
        option = error.details.get("option")
        if not option or not sys.stdin.isatty():
            raise
        return connect(**{option: click.prompt(str(error).replace("no password", "Password"), hide_input=True, err=True)})


__all__ = ["PARTLY", "Settings"]
