"""`novacron host`: the fleet, and what a host is, has and can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from novacron.errors import AlreadyExistsError, UnsupportedOperationError
from novacron_shell.confirm import confirm, yes_option
from novacron_shell.context import current_host, use_host
from novacron_shell.groups import CommandGroup
from novacron_shell.options import Settings, common_options, list_options
from novacron_shell.output import Columns, show_many, show_one, tell, write
from novacron_shell.settings import PARTLY


@click.group("host", cls=CommandGroup)
def host() -> None:
    """Hosts of the fleet, or at a URI."""


@host.command("list")
@click.option("--ping", is_flag=True, help="Also show whether each host answers.")
@list_options
def list_(settings: Settings, ping: bool) -> None:
    """List the fleet's hosts."""
    from novacron import fleet

    columns: dict[str, Any] = {"name": "name", "uri": "uri", "added": "added_at"}
    hosts = fleet().list()
    if ping:
        states = settings.states([host.name for host in hosts])
        columns["status"] = lambda h: states[h.name]
    show_many(hosts, columns, settings.output)


@host.command("add")
@click.argument("name")
@click.argument("uri")
@click.option("--replace", is_flag=True, help="Replace a host that has this name.")
@click.option("--check/--no-check", default=True, help="Connect to the host before it is added.")
@click.option("--linked", is_flag=True, help="Also add the vCenters that are in linked mode with this one.")
@common_options
def add(settings: Settings, name: str, uri: str, replace: bool, check: bool, linked: bool) -> None:
    """Add the host at URI to the fleet as NAME."""
    from novacron import connect, fleet

    hosts = {name: uri}
    if check or linked:
        with connect(uri, name=name) as connected:
            if linked:
                hosts |= _linked(connected, name)
    if linked and not replace and (taken := [each for each in hosts if each in {host.name for host in fleet().list()}]):
        raise AlreadyExistsError(f"the fleet has hosts named {', '.join(taken)}", outcome="not_sent", hint="give --replace")
    for each, place in hosts.items():
        fleet().add(each, place, replace=replace)
        tell(f"{each} is in the fleet")
    if uri.startswith("sim:"):
        tell("a simulated host lives within one process: the next command starts with a fresh one")


def _linked(connected: Any, name: str) -> dict[str, str]:
    """Return the names and URIs of the vCenters that are in linked mode with a host.

    Raises:
        UnsupportedOperationError: there is no linked mode.
        AlreadyExistsError: one of them has the name that the host gets, or two have one name: a name would stand for the wrong server.
    """
    if not connected.supports("vsphere.vcenter_list"):
        raise UnsupportedOperationError(
            f"{connected.name!r} has no linked mode", outcome="not_sent", hint="leave --linked out: only vCenters are linked"
        )
    found = {name: ""}
    for each in connected.native.vcenter_list():
        if each.current:
            continue
        if each.name in found:
            raise AlreadyExistsError(
                f"two linked vCenters would be named {each.name!r}",
                outcome="not_sent",
                hint="give another NAME, or add each by itself",
            )
        found[each.name] = each.uri
    del found[name]
    return found


@host.command("remove")
@click.argument("name")
@common_options
def remove(settings: Settings, name: str) -> None:
    """Remove the host NAME from the fleet. Its VMs are not changed."""
    from novacron import fleet

    fleet().remove(name)
    if current_host() == name:
        use_host(None)
    tell(f"{name} is no longer in the fleet")


@host.command("use")
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Use the whole fleet again.")
def use(name: str | None, everything: bool) -> None:
    """Let later commands use the host NAME when none is named; without NAME show which one it is.

    --host, -c, NOVACRON_HOST and NOVACRON_CONNECT still win.
    """
    from novacron import fleet
    from novacron.errors import HostNotFoundError

    if name and everything:
        raise click.UsageError("give either NAME or --all")
    if everything:
        use_host(None)
        tell("commands use the whole fleet")
        return
    if name is None:
        write(current_host() or "all")
        return
    known = [each.name for each in fleet().list()]
    if name not in known:
        raise HostNotFoundError(f"no host named {name!r}", hint=f"the fleet has {', '.join(known) or 'no host'}")
    use_host(name)
    tell(f"commands use {name}; `novacron host use --all` uses the whole fleet again")


INFO: Columns = {
    "name": "name",
    "hypervisor": "hypervisor",
    "version": "version",
    "cpus": "cpus",
    "memory": "memory_bytes",
    "uri": "uri",
}
STATS: Columns = {
    "host": "host",
    "cpus": "cpus",
    "memory": "memory_bytes",
    "free": "memory_free_bytes",
    "VMs": "vms_total",
    "running": "vms_running",
    "CPU %": "cpu_percent",
}
PING: Columns = {"host": "host", "latency": "latency_seconds", "version": "version"}
CAPABILITIES: Columns = {
    "host": "host",
    "driver": "driver",
    "virt type": "virt_type",
    "firmwares": "firmwares",
    "cpu model": "cpu_model",
}


def _reader(command: str, operation: str, text: str, columns: Columns) -> None:
    """Define a command that asks one host, or all hosts of the fleet when none is named."""

    @host.command(command, help=text)
    @click.argument("name", required=False)
    @common_options
    def read(settings: Settings, name: str | None) -> None:
        if name or settings.named or len(settings.fleet()) < 2:
            chosen = settings.open(name) if name else settings.host()
            show_one(getattr(chosen, operation)(), settings.output)
        else:
            show_many(settings.ask(lambda host: getattr(host, operation)()), columns, settings.output)


_reader("info", "info", "Describe a host.", INFO)
_reader("stats", "stats", "Show the present use of CPU, memory and storage of a host.", STATS)
_reader("ping", "ping", "Measure one round trip to a host.", PING)
_reader(
    "capabilities", "capabilities", "Show which VMs a host can run, which operations it offers, and its limits.", CAPABILITIES
)


@host.command("cpu-baseline")
@click.argument("name", required=False)
@click.option("--group", help="The nodes of this group of the fleet.")
@common_options
def cpu_baseline(settings: Settings, name: str | None, group: str | None) -> None:
    """Show the best CPU that VMs can have on all nodes of a group, or of one host, so that they can migrate between them."""
    if group and (name or settings.named):
        raise click.UsageError("give a host or --group, not both")
    if group:
        from novacron import fleet

        found = fleet().cpu_baseline(group)
    else:
        found = (settings.open(name) if name else settings.host()).cpu_baseline()
    show_one(found, settings.output)


@host.command("lock-manager")
@click.argument("name", required=False)
@common_options
def lock_manager(settings: Settings, name: str | None) -> None:
    """Show what leases the disks of running VMs on a host: virtlockd, sanlock or none. It is tried with a VM that never runs."""
    found = (settings.open(name) if name else settings.host()).lock_manager()
    if settings.output in ("table", "wide", "name"):
        write(found)
    else:
        show_one({"lock_manager": found}, settings.output)


@host.command("expirations")
@click.argument("name", required=False)
@list_options
def expirations(settings: Settings, name: str | None) -> None:
    """List what expires on the hosts, such as the licences of a vCenter."""
    columns: Columns = {"name": "name", "kind": "kind", "expires": "expires_at", "host": "host"}
    found = settings.open(name).expirations() if name else settings.gather("host_expirations")
    show_many(found, columns, settings.output)


@host.command("nodes")
@click.argument("name", required=False)
@list_options
def nodes(settings: Settings, name: str | None) -> None:
    """List the nodes of a cluster."""
    columns: Columns = {"name": "name", "cpus": "cpus", "memory": "memory_bytes", "status": "status", "host": "host"}
    found = settings.open(name).nodes() if name else settings.gather("node_list")
    show_many(found, columns, settings.output)


@host.command("confirm-fenced")
@click.argument("node")
@yes_option
@common_options
def confirm_fenced(settings: Settings, node: str, yes: bool) -> None:
    """Confirm that you have switched NODE off, so that its VMs may be started elsewhere.

    If the node still runs, its VMs run twice and destroy their disks. It is refused while the host answers.
    """
    from novacron import fleet

    confirm(f"start the VMs of {node}, which you have switched off yourself, on other nodes", yes=yes)
    fleet().failover.confirm_fenced(node)
    tell(f"{node} counts as off; `novacron fleet failover show {node}` shows its VMs")


@host.group("maintenance")
def maintenance() -> None:
    """Empty a node for maintenance, and use it again afterwards."""


STORAGE = click.option(
    "--storage",
    type=click.Choice(["shared", "copy", "copy-top"]),
    default="shared",
    show_default=True,
    help="shared: both hosts use the same storage. copy: copy all disks. copy-top: copy only the top file of each chain.",
)


@maintenance.command("enter")
@click.argument("node")
@STORAGE
@click.option("--stopped", is_flag=True, help="Also move VMs that are not running.")
@click.option("--partial", is_flag=True, help="Move the other VMs even if some can't move.")
@click.option("--reason", default="", help="Why, for other people.")
@click.option("--check", is_flag=True, help="Only show the plan. Nothing is changed.")
@yes_option
@common_options
def enter(settings: Settings, node: str, storage: Any, stopped: bool, partial: bool, reason: str, check: bool, yes: bool) -> None:
    """Move all running VMs of NODE to other nodes, and keep new ones off it.

    The moves are one run: Ctrl-C cancels it, `novacron run list` shows it.
    """
    from novacron import fleet
    from novacron_shell.progress import follow

    work = fleet().maintenance
    if check:
        found = work.plan(node, storage=storage, stopped=stopped)
        _show_drain(found, settings)
        if found.stuck:
            raise click.exceptions.Exit(18)
        return
    confirm(f"move the VMs of {node} to other nodes", yes=yes)
    done = work.enter(
        node, storage=storage, stopped=stopped, partial=partial, reason=reason, follow=lambda run: follow(run, f"empty {node}")
    )
    _show_drain(done, settings)
    tell(f"{done.node} is in maintenance; {len(done.moves)} VMs moved")
    if done.stuck:
        raise click.exceptions.Exit(PARTLY)


@maintenance.command("leave")
@click.argument("node")
@STORAGE
@click.option("--keep-vms", is_flag=True, help="Leave the VMs where they are. Otherwise they move back.")
@common_options
def leave(settings: Settings, node: str, storage: Any, keep_vms: bool) -> None:
    """Use NODE again, and move the VMs back that it had before."""
    from novacron import fleet
    from novacron_shell.progress import follow

    done = fleet().maintenance.leave(
        node, storage=storage, keep_vms=keep_vms, follow=lambda run: follow(run, f"move VMs back to {node}")
    )
    _show_drain(done, settings)
    tell(f"{done.node} is up; {len(done.moves)} VMs came back")
    if done.stuck:
        raise click.exceptions.Exit(PARTLY)


def _cell(name: str) -> Callable[[dict[str, str]], str | None]:
    return lambda row: row.get(name)


def _show_drain(plan: Any, settings: Settings) -> None:
    if settings.output != "table":
        show_one(plan, settings.output)
        return
    rows = [{"vm": move.name, "to": move.node} for move in plan.moves] + [
        {"vm": each.name, "why": each.why} for each in plan.stuck
    ]
    show_many(rows, {name: _cell(name) for name in ("vm", "to", "why")}, "table")


COMMANDS = {"host": host}
