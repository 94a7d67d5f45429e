"""`novacron fleet`: capacity of the whole fleet, and settings of its groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from novacron_shell.commands.nodes import COLUMNS, given_limits, limit_options, share
from novacron_shell.commands.rolling_update import rolling_update
from novacron_shell.confirm import confirm, yes_option
from novacron_shell.groups import CommandGroup
from novacron_shell.options import DURATION, SIZE, Settings, common_options, given, list_options
from novacron_shell.output import Columns, show_many, show_one, tell, write

if TYPE_CHECKING:
    from novacron.records.capacity import BalancePlan


@click.group("fleet", cls=CommandGroup)
def fleet() -> None:
    """Capacity of the fleet and settings of its groups."""


GROUPS: Columns = {
    "group": lambda g: g.name or "-",
    "nodes": lambda g: f"{g.usable_nodes} of {g.nodes}",
    "vcpus": share("vcpus"),
    "memory": share("memory"),
    "storage": share("storage"),
}


@fleet.command("report")
@click.option("--stored", is_flag=True, help="Report what is stored. Do not read the hosts.")
@common_options
def report(settings: Settings, stored: bool) -> None:
    """Report the capacity of all groups and nodes: what is allocated, the limits, and how VMs are protected from a node's failure.

    The VMs of groups with failover that would not be restarted are named. -o json has the protection of each VM.
    """
    from novacron import fleet
    from novacron_shell.settings import FLEET_TIMEOUT

    found = fleet().report(refresh=not stored, timeout=settings.timeout or FLEET_TIMEOUT)
    if settings.output != "table":
        show_one(found, settings.output)
        return
    group_of = {node.name: node.group for node in found.nodes}
    counts = Counter((group_of.get(vm.node), str(vm.level)) for vm in found.protection)
    show_many(found.groups, {**GROUPS, "protection": lambda group: _levels(counts, group.name)}, settings.output)
    for group in found.groups:
        for failure in group.failures:
            tell(f"{group.name}: {failure}")
    write("")
    show_many(found.nodes, COLUMNS, settings.output)
    known = {group.name: group.settings.get("failover") for group in fleet().groups.list()}
    on = {group for group in group_of.values() if (known.get(group or "") or known.get("fleet")) == "on"}
    for vm in found.protection:
        if vm.level == "D" and group_of.get(vm.node) in on:
            tell(f"{vm.name} on {vm.node} is not restarted: {'; '.join(vm.why)}")


def _levels(counts: Mapping[tuple[str | None, str], int], group: str | None) -> str:
    return ", ".join(f"{level}: {counts[group, level]}" for level in "ABCD" if counts[group, level]) or "-"


@fleet.command("groups")
@list_options
def groups(settings: Settings) -> None:
    """List the groups with their nodes and settings."""
    from novacron import fleet

    show_many(fleet().groups.list(), {"name": "name", "nodes": "nodes", "settings": "settings"}, settings.output)


@fleet.command("set-group")
@click.argument("name")
@click.option("--failures", type=click.IntRange(0, 2), help="How many domains may fail at a time so that all VMs can restart.")
@click.option("--failure-domain", help='What fails together: "host", or a label such as rack.')
@click.option(
    "--admission", type=click.Choice(["off", "warn", "refuse"]), help="What happens to a claim after which VMs could not restart."
)
@click.option("--balancer", help="What proposes the migrations: deviation, or a balancer of a plugin. Default: deviation.")
@click.option("--balance-threshold", type=float, help="Imbalance above which balancing moves VMs. Default: 0.1.")
@click.option("--balance-margin", type=float, help="By how much each move has to lower the imbalance. Default: 0.01.")
@click.option("--balance-moves", type=int, help="Migrations of one plan. Default: 10.")
@click.option("--balance-cool-down", help="How long a VM stays after a migration. Default: 30m.")
@click.option("--balance-hold", help="How long the imbalance has to last before VMs are moved. Default: 0.")
@click.option("--failover", type=click.Choice(["off", "on"]), help="Restart the VMs of a node that fails on other nodes.")
@click.option("--failover-after", help="How long a node has to be silent until it is suspect. Default: 15s.")
@click.option("--failover-grace", help="How long a controller only observes after its start. Default: 60s.")
@click.option("--shared-pool", "shared_pools", multiple=True, help="A storage pool that all nodes share. Can be repeated.")
@click.option("--no-shared-pools", is_flag=True, help="Only storage pools on the network are shared.")
@click.option(
    "--storage-lease",
    type=click.Choice(["none", "virtlockd", "sanlock"]),
    help="What keeps a second copy of a VM from opening its disks.",
)
@click.option("--strategy", type=click.Choice(["spread", "pack"]), help="Use all nodes evenly, or fill one after the other.")
@limit_options
@common_options
def set_group(
    settings: Settings, name: str, inherit: tuple[str, ...], shared_pools: tuple[str, ...], no_shared_pools: bool, **options: Any
) -> None:
    """Change settings of the group NAME. The name "fleet" changes the settings of all groups."""
    from novacron import fleet
    from novacron.fleets.groups import FLEET

    if shared_pools and no_shared_pools:
        raise click.UsageError("either --shared-pool or --no-shared-pools")
    limits = given_limits(inherit, options)
    if shared_pools or no_shared_pools:
        limits["shared_pools"] = list(shared_pools)
    if not limits:
        raise click.UsageError("nothing to change was given")
    groups = fleet().groups
    changed = groups.set(name, **limits)
    if settings.output == "table":
        others = [group.name for group in groups if group.nodes]
        empty = f"; it has no nodes (groups that have some: {', '.join(others) or '-'})"
        tell(f"{changed.name} is changed{'' if changed.nodes or changed.name == FLEET else empty}")
    else:
        show_one(changed, settings.output)


@fleet.command("remove-group")
@click.argument("name")
@common_options
def remove_group(settings: Settings, name: str) -> None:
    """Delete the settings of the group NAME, which has no nodes any more."""
    from novacron import fleet

    fleet().groups.remove(name)
    tell(f"the settings of {name} are removed")


@fleet.command("explain")
@click.argument("vm", required=False)
@click.option("--group", help="Only the nodes of this group.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Only nodes with this label.")
@click.option("--vcpus", type=int, help="vCPUs of a new VM.")
@click.option("--memory", type=SIZE, help="Memory of a new VM.")
@click.option("--disk", "disks", type=SIZE, multiple=True, help="Size of a disk of a new VM. Can be repeated.")
@click.option("--tag", "tags", multiple=True, help="A tag of a new VM, for the placement rules.")
@common_options
def explain(
    settings: Settings, vm: str | None, group: str | None, labels: tuple[str, ...], disks: tuple[str, ...], **fields: Any
) -> None:
    """Say for each node whether it can take a new VM, or the existing VM, and if not why not."""
    from novacron import fleet
    from novacron_shell.commands.lifecycle import parse_labels

    if vm is not None and (disks or given(**fields)):
        raise click.UsageError("give the name of a VM, or the sizes of a new one")
    if vm is not None:
        placement = fleet().destinations(settings.vm(vm), group=group, labels=parse_labels(labels))
    else:
        sizes = [{"size": size} for size in disks]
        placement = fleet().place(name="new", group=group, labels=parse_labels(labels), disks=sizes, **given(**fields))
    if settings.output != "table":
        show_one(placement, settings.output)
        return
    rows: list[dict[str, Any]] = [{"node": each.node, "fits": "yes", "score": f"{each.score:g}"} for each in placement.candidates]
    rows += [{"node": each.node, "fits": "no", "why": "; ".join(each.reasons)} for each in placement.rejected]
    columns = {name: lambda row, name=name: row.get(name) for name in ("node", "fits", "score", "why")}
    show_many(rows, columns, "table")


MOVES: Columns = {"vm": "name", "from": "source", "to": "node", "memory_bytes": "memory_bytes", "gain": "gain"}


@fleet.command("balance")
@click.argument("group")
@click.option("--once", is_flag=True, help="Carry out the plan. Otherwise it is only shown.")
@click.option("--every", type=DURATION, help="Measure the nodes and carry out a plan that often, until Ctrl-C or SIGTERM.")
@click.option("--rounds", type=click.IntRange(1), help="End after so many rounds of --every.")
@click.option("--partial", is_flag=True, help="Carry out only the first move of a plan; the next plan has new measurements.")
@click.option(
    "--storage", type=click.Choice(["shared", "copy", "copy-top"]), default="shared", show_default=True, help="As for migrate."
)
@yes_option
@common_options
def balance(
    settings: Settings,
    group: str,
    once: bool,
    every: float | None,
    rounds: int | None,
    partial: bool,
    storage: Any,
    yes: bool,
) -> None:
    """Show which migrations would balance GROUP, each with its gain, or carry them out."""
    from novacron import NovaCronError, fleet
    from novacron_shell.progress import follow
    from novacron_shell.signals import stop_on_signals

    if once and every is not None:
        raise click.UsageError("give --once or --every, not both")
    if (partial and not once and every is None) or (rounds is not None and every is None):
        raise click.UsageError("--partial needs --once or --every, --rounds needs --every")
    if once or every is not None:
        confirm(f"migrate VMs of the group {group}", yes=yes)
    carried_out = "partial" if partial else "full"

    def plan(mode: Any) -> None:
        _show_plan(
            fleet().balance(group, mode=mode, storage=storage, follow=lambda run: follow(run, f"balance {group}")),
            settings.output,
        )

    if every is None:
        plan(carried_out if once else "manual")
        return
    stop, done = stop_on_signals(), 0
    while not stop.is_set():
        try:
            fleet().nodes.refresh(timeout=settings.timeout or 30.0)
            plan(carried_out)
        except NovaCronError as error:
            if not done:  # the command is wrong, or nothing works yet
                raise
            tell(f"{group}: {error}; the next round is in {every:g} s")
        done += 1
        if done == rounds:
            break
        stop.wait(every)


def _show_plan(plan: BalancePlan, output: str) -> None:
    if output != "table":
        show_one(plan, output)
        return
    show_many(plan.moves, MOVES, "table")
    tell(f"imbalance {plan.before:g}, after the moves {plan.after:g}, threshold {plan.threshold:g}")
    if plan.hold:
        tell(f"nothing moves unless the imbalance lasts for {plan.hold:g} s more")
    for name in plan.without_metrics:
        tell(f"{name}: its CPUs were not measured, so it takes no part; run `novacron node refresh`")


RULES: Columns = {"name": "name", "kind": "kind", "tag": "tag", "scope": "scope", "must": "must"}
QUOTA_COLUMNS: Columns = {
    "subject": "subject",
    "vms": lambda q: _share(q.used_vms, q.vms),
    "vcpus": lambda q: _share(q.used.vcpus, q.vcpus),
    "memory": lambda q: _share(q.used.memory_bytes, q.memory_bytes, size=True),
    "storage": lambda q: _share(q.used.storage_bytes, q.storage_bytes, size=True),
}


def _share(used: int, limit: int | None, *, size: bool = False) -> str:
    from novacron.units import format_size

    shown = format_size if size else str
    return f"{shown(used)} of {'unlimited' if limit is None else shown(limit)}"


@fleet.command("rules")
@list_options
def rules(settings: Settings) -> None:
    """List the placement rules."""
    from novacron import fleet

    show_many(fleet().rules.list(), RULES, settings.output)


@fleet.command("add-rule")
@click.argument("name")
@click.argument("kind", type=click.Choice(["affinity", "anti-affinity"]))
@click.argument("tag")
@click.option("--scope", default="host", show_default=True, help='"host", or a label of nodes such as rack.')
@click.option(
    "--should", is_flag=True, help="Only prefer nodes that follow the rule. Otherwise operations that break it are refused."
)
@common_options
def add_rule(settings: Settings, name: str, kind: str, tag: str, scope: str, should: bool) -> None:
    """Keep the VMs with TAG together (affinity), or each in a domain of its own (anti-affinity)."""
    from novacron import fleet

    fleet().rules.add(name, kind, tag=tag, scope=scope, must=not should)
    tell(f"the rule {name} is added")


@fleet.command("remove-rule")
@click.argument("name")
@common_options
def remove_rule(settings: Settings, name: str) -> None:
    """Remove the placement rule NAME."""
    from novacron import fleet

    fleet().rules.remove(name)
    tell(f"the rule {name} is removed")


@fleet.command("quotas")
@list_options
def quotas(settings: Settings) -> None:
    """List the quotas with what is used."""
    from novacron import fleet

    show_many(fleet().quotas.list(), QUOTA_COLUMNS, settings.output)


@fleet.command("recommendations")
@click.option("--since", default="14d", show_default=True, metavar="DURATION", help="The period to look at.")
@list_options
def recommendations(settings: Settings, since: str) -> None:
    """List what would use the capacity better: smaller VMs, balanced groups, volumes that nothing uses. Nothing is changed."""
    from novacron import fleet

    columns: Columns = {"kind": "kind", "subject": "subject", "why": "text", "what to do": "action"}
    show_many(fleet().planning.recommendations(since=since), columns, settings.output)


@fleet.command("usage")
@click.option(
    "--by",
    type=click.Choice(["owner", "tag", "host"]),
    default="owner",
    show_default=True,
    help="What the usage is summed up by.",
)
@click.option("--since", default="30d", show_default=True, metavar="DURATION", help="The period.")
@click.option("--step", metavar="DURATION", help="Divide the period, such as 1d. Default: one line for the whole period.")
@list_options
def usage(settings: Settings, by: str, since: str, step: str | None) -> None:
    """Show how much was allocated over time, by owner, tag or host. `novacron monitor collect` records it for nodes of groups."""
    from datetime import UTC, datetime

    from novacron import fleet

    columns: Columns = {
        by: lambda u: u.subject or "-",
        "since": lambda u: datetime.fromtimestamp(u.since, UTC).isoformat(timespec="minutes"),
        "VMs": "vms",
        "vCPU hours": lambda u: f"{u.vcpu_hours:.1f}",
        "memory GiB hours": lambda u: f"{u.memory_gib_hours:.1f}",
        "storage GiB hours": lambda u: f"{u.storage_gib_hours:.1f}",
    }
    show_many(fleet().planning.usage(by, since=since, step=step), columns, settings.output)


@fleet.command("set-quota")
@click.argument("subject")
@click.option("--vms", type=int, help="Number of VMs.")
@click.option("--vcpus", type=int, help="vCPUs of active VMs.")
@click.option("--memory", type=SIZE, help="Memory of active VMs.")
@click.option("--storage", type=SIZE, help="Size of all disks.")
@common_options
def set_quota(settings: Settings, subject: str, **limits: Any) -> None:
    """Set the most that the VMs of SUBJECT may take: owner:NAME or tag:TAG. Limits that are not given are removed."""
    from novacron import fleet

    fleet().quotas.set(subject, **given(**limits))
    tell(f"the quota of {subject} is set")


@fleet.command("remove-quota")
@click.argument("subject")
@common_options
def remove_quota(settings: Settings, subject: str) -> None:
    """Remove the quota of SUBJECT."""
    from novacron import fleet

    fleet().quotas.remove(subject)
    tell(f"the quota of {subject} is removed")


@fleet.group("failover")
def failover() -> None:
    """Restart the VMs of nodes that fail on other nodes."""


PROTECTION: Columns = {"vm": "name", "node": "node", "level": "level", "why": lambda p: "; ".join(p.why)}
FAILOVERS: Columns = {"node": "node_name", "group": "group", "stage": "stage", "reason": "reason"}
RESTARTED: Columns = {"vm": "name", "status": "status", "reason": "reason"}


@failover.command("run")
@click.option("--interval", type=DURATION, default="5s", show_default=True, help="Time between two rounds.")
@click.option("--rounds", type=click.IntRange(1), help="End after so many rounds. Default: work until Ctrl-C or SIGTERM.")
@common_options
def failover_run(settings: Settings, interval: float, rounds: int | None) -> None:
    """Watch the nodes, switch off those that fail, and restart their VMs elsewhere.

    Run it on every machine that manages the fleet: one of them works, the others take over when it fails.
    """
    import signal
    import threading

    from novacron import fleet

    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        fleet().failover.controller(interval=interval, timeout=settings.timeout or 5.0).run(stop, rounds, tell)
    except KeyboardInterrupt:
        tell("stopped")
    finally:
        signal.signal(signal.SIGTERM, before)


@failover.command("protection")
@click.argument("node", required=False)
@list_options
def protection(settings: Settings, node: str | None) -> None:
    """Show for each active VM whether it is restarted if its node fails, and if not why not.

    A: power fencing and virtlockd. B: power fencing and sanlock. C: power fencing alone. D: no restart.
    """
    from novacron import fleet

    show_many(fleet().failover.protection(node), PROTECTION, settings.output)


@failover.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that have ended.")
@list_options
def failovers(settings: Settings, everything: bool) -> None:
    """List the failovers, the latest first."""
    from novacron import fleet

    show_many(fleet().failover.list(unended=not everything), FAILOVERS, settings.output)


@failover.command("show")
@click.argument("node")
@common_options
def failover_show(settings: Settings, node: str) -> None:
    """Show the latest failover of NODE: what was done, and where its VMs are."""
    from novacron import fleet

    found = fleet().failover[node]
    if settings.output != "table":
        show_one(found, settings.output)
        return
    show_many([found], FAILOVERS, "table")
    for step in found.steps:
        tell(step)
    show_many(found.vms, RESTARTED, "table")


@failover.command("disarm")
@click.argument("group", required=False)
@common_options
def disarm(settings: Settings, group: str | None) -> None:
    """Fence no node of GROUP, or of the whole fleet, until `arm`. Restarts that have begun continue."""
    from novacron import fleet

    fleet().failover.disarm(group)
    tell(f"failover is disarmed for {group or 'the fleet'}")


@failover.command("arm")
@click.argument("group", required=False)
@common_options
def arm(settings: Settings, group: str | None) -> None:
    """End what `disarm` with the same GROUP began."""
    from novacron import fleet

    fleet().failover.arm(group)
    tell(f"failover is armed for {group or 'the fleet'}")


fleet.add_command(rolling_update)
COMMANDS = {"fleet": fleet}
