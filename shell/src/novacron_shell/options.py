"""The options that every command has, and the hosts and VMs that they name."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle


class Settings:
    """What the common options say; an option after the command wins over one before it."""

    def __init__(self, connect: str | None = None, host: str | None = None, output: str | None = None) -> None:
        self.connect, self.host_name, self.output_format = connect, host, output
        self._open: list[HostHandle] = []

    def over(self, outer: Settings | None) -> Settings:
        """Return these settings, with what they leave open taken from `outer`."""
        if outer is None:
            return self
        place = (self.connect, self.host_name) if self.connect or self.host_name else (outer.connect, outer.host_name)
        return Settings(*place, self.output_format or outer.output_format)

    @property
    def output(self) -> str:
        """The output format: table, json, yaml or name."""
        return self.output_format or "table"

    def open(self, place: str) -> HostHandle:
        """Connect to a host of the fleet by name, or by URI."""
        from novacron import connect, fleet

        open_ = functools.partial(connect, place) if "://" in place else functools.partial(fleet().hosts.open, place)
        host = _asking(open_)
        self._open.append(host)
        return host

    def host(self) -> HostHandle:
        """Return the host that was named; without a name the fleet's only one, or the local one when the fleet is empty.

        Raises:
            InvalidSpecError: several hosts are in the fleet and none was named.
        """
        from novacron.errors import InvalidSpecError, SpecProblem

        if self.connect and self.host_name:
            raise InvalidSpecError("give either -c/--connect or --host", problems=[])
        if self.connect or self.host_name:
            return self.open(self.connect or self.host_name or "")
        names = self._fleet()
        if len(names) > 1:
            raise InvalidSpecError(
                "no host given",
                problems=[SpecProblem("host", "nothing", f"one of {', '.join(names)}")],
                hint="give --host NAME or -c URI",
            )
        if names:
            return self.open(names[0])
        from novacron import connect

        host = connect()
        self._open.append(host)
        return host

    def hosts(self) -> list[HostHandle]:
        """Return the host that was named; without a name all hosts of the fleet, or the local one."""
        names = self._fleet() if not (self.connect or self.host_name) else []
        return [self.open(name) for name in names] or [self.host()]

    def vms(self, chosen: str) -> list[VMHandle]:
        """Return VMs: names or UUIDs, patterns (`web-*`), `tag:TAG` or `host:HOST`, with commas between them; each once.

        Raises:
            VMNotFoundError: a part of it chooses none.
        """
        from novacron.errors import VMNotFoundError

        found: dict[str, VMHandle] = {}
        for part in filter(None, (each.strip() for each in chosen.split(","))):
            kind, colon, value = part.partition(":")
            if colon and kind in ("tag", "host"):
                hosts = [self.open(value)] if kind == "host" else self.hosts()
                some = [vm for host in hosts for vm in host.vms.list(**({"tag": value} if kind == "tag" else {}))]
            elif set(part) & set("*?["):
                some = [vm for host in self.hosts() for vm in host.vms.list(name=part)]
            else:
                some = [self.vm(part)]
            if not some:
                raise VMNotFoundError(f"no VM is {part!r}", resource=part, hint="a name, a pattern, tag:TAG or host:HOST")
            found |= {vm.id: vm for vm in some}
        return list(found.values())

    def vm(self, name: str) -> VMHandle:
        """Find a VM by name or UUID on the host that was named, otherwise in the whole fleet.

        Raises:
            VMNotFoundError: nobody has it.
            InvalidSpecError: several hosts have one of that name.
        """
        if self.connect or self.host_name:
            return self.host().vms[name]
        from concurrent.futures import ThreadPoolExecutor

        from novacron.errors import InvalidSpecError, NovaCronError, SpecProblem, VMNotFoundError

        places = self._fleet()
        if len(places) < 2:
            return self.host().vms[name]

        def look(place: str) -> Any:
            try:
                return self.open(place).vms[name]
            except NovaCronError as error:
                return error

        with ThreadPoolExecutor(min(32, len(places))) as pool:
            answers = list(pool.map(look, places))
        found = [a for a in answers if not isinstance(a, NovaCronError)]
        if len(found) == 1:
            only: VMHandle = found[0]
            return only
        if found:
            where = ", ".join(vm.host.name for vm in found)
            raise InvalidSpecError(
                f"several hosts have a VM {name!r}",
                problems=[SpecProblem("host", "nothing", f"one of {where}")],
                hint="give --host NAME",
            )
        failed = [f"{p}: {a}" for p, a in zip(places, answers, strict=True) if not isinstance(a, VMNotFoundError)]
        more = f"; not asked, {'; '.join(failed)}" if failed else ""
        raise VMNotFoundError(f"no VM named {name!r} on {', '.join(places)}{more}")

    def close(self) -> None:
        """Close what was opened."""
        while self._open:
            self._open.pop().close()

    def _fleet(self) -> Sequence[str]:
        from novacron import fleet

        return [host.name for host in fleet().list()]


def _asking(open_: Callable[..., HostHandle]) -> HostHandle:
    """Connect; a password that is nowhere else is asked for at the terminal, and kept nowhere."""
    from novacron.errors import AuthenticationError

    try:
        return open_()
    except AuthenticationError as error:
        option = error.details.get("option")
        if not option or not sys.stdin.isatty():
            raise
        return open_(**{option: click.prompt(str(error).replace("no password", "Password"), hide_input=True, err=True)})


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `-c/--connect`, `--host` and `-o/--output`; it gets them as `settings`."""

    @click.option("-c", "--connect", metavar="URI", envvar="NOVACRON_CONNECT", help="The host, by URI.")
    @click.option("--host", metavar="NAME", envvar="NOVACRON_HOST", help="The host, by its name in the fleet.")
    @click.option("-o", "--output", type=click.Choice(["table", "json", "yaml", "name"]), help="How to print; table by default.")
    @functools.wraps(command)
    def wrapped(*args: Any, connect: str | None, host: str | None, output: str | None, **kwargs: Any) -> Any:
        context = click.get_current_context()
        settings = Settings(connect, host, output).over(context.obj)
        if isinstance(context.command, click.Group):
            return command(*args, settings=settings, **kwargs)
        try:
            return command(*args, settings=settings, **kwargs)
        finally:
            settings.close()

    return wrapped


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given: a spec's defaults live in the spec alone."""
    return {name: value for name, value in options.items() if value is not None and value != ()}


def pairs(text: str) -> dict[str, Any]:
    """Return "size=20GiB,bus=scsi" as a mapping.

    Example:
        >>> pairs("size=20GiB,read_only=true")
        {'size': '20GiB', 'read_only': 'true'}
    """
    found = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise click.BadParameter(f"{part!r} is not KEY=VALUE")
        field, dot, rest = key.strip().partition(".")
        found[field.replace("-", "_") + dot + rest] = value
    return found


def nested(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields with dots in their names as what they are a part of; numbers, from 0, are places in a list.

    Example:
        >>> nested({"tpm": "true", "display.type": "spice", "numa.0.vcpus": "0-1", "numa.1.vcpus": "2-3"})
        {'tpm': 'true', 'display': {'type': 'spice'}, 'numa': [{'vcpus': '0-1'}, {'vcpus': '2-3'}]}
    """
    found: dict[str, Any] = {}
    for key, value in fields.items():
        *path, last = key.split(".")
        place = found
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise click.BadParameter(f"{key!r}: {part!r} has a value of its own already")
        place[last] = value
    return {key: _listed(value) for key, value in found.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    within = {key: _listed(each) for key, each in value.items()}
    if [*within] == [str(number) for number in range(len(within))]:
        return [*within.values()]
    return within


def spec_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command a spec's fields as KEY=VALUE arguments and `--file`; it gets them as `fields`."""

    @click.argument("given_fields", metavar="[KEY=VALUE]...", nargs=-1)
    @click.option("--file", "file", type=click.File(), help="A YAML or JSON file with the fields; - is stdin.")
    @functools.wraps(command)
    def wrapped(*args: Any, given_fields: tuple[str, ...], file: Any, **kwargs: Any) -> Any:
        fields: dict[str, Any] = {}
        if file:
            from novacron_shell.yaml_files import load

            fields = load(file) or {}
            if not isinstance(fields, dict):
                raise click.BadParameter("the file does not have fields with values", param_hint="--file")
        for text in given_fields:
            fields |= pairs(text)
        return command(*args, fields=fields, **kwargs)

    return wrapped


__all__ = ["Settings", "common_options", "given", "nested", "pairs", "spec_options"]
