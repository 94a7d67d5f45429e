"""`novacron fleet rolling-update`: updates the nodes of a group one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from novacron_shell.confirm import confirm, yes_option
from novacron_shell.options import DURATION, Settings, common_options, given
from novacron_shell.output import Columns, show_many, show_one, tell

if TYPE_CHECKING:
    from novacron.records.rolling_updates import RollingUpdate


@click.command("rolling-update")
@click.argument("group")
@click.option("--command", help="What to run for each node, such as 'apt-get -y upgrade'. Its words are split, no shell runs.")
@click.option(
    "--here", is_flag=True, help="Run it on this machine, with the node in NOVACRON_NODE. Otherwise on the node, by SSH."
)
@click.option("--reboots", is_flag=True, help="The command restarts the node: wait until it has been down.")
@click.option("--max-unavailable", type=click.IntRange(1), help="How many nodes may be away at a time. Default: 1.")
@click.option("--storage", type=click.Choice(["shared", "copy", "copy-top"]), help="As for maintenance. Default: shared.")
@click.option("--command-timeout", type=DURATION, help="How long the command may take for a node. Default: 1h.")
@click.option("--answer-timeout", type=DURATION, help="How long a node may take until it answers afterwards. Default: 15m.")
@click.option("--dry-run", is_flag=True, help="Only show the plan, or with --resume how far each node is.")
@click.option("--resume", is_flag=True, help="Continue the rolling update that has stopped.")
@yes_option
@common_options
def rolling_update(
    settings: Settings,
    group: str,
    command: str | None,
    here: bool,
    reboots: bool,
    dry_run: bool,
    resume: bool,
    yes: bool,
    **options: Any,
) -> None:
    """Update the nodes of GROUP one after the other: move the VMs away, run a command, and move the VMs back.

    All nodes are planned first: if a VM can't move, it is named and nothing is changed. The first failure stops the update, Ctrl-C too.
    """
    from novacron import fleet
    from novacron.workflow.kinds.guest import words
    from novacron_shell.signals import stop_on_signals

    fields = given(**options, command=None if command is None else words(command), run_on="here" if here else None)
    fields |= {"reboots": True} if reboots else {}
    work = fleet().maintenance
    if dry_run:
        found = work.rolling_update(group, dry_run=True, resume=resume, **fields)
        _show_rolling_update(found, settings.output)
        if found.stuck:
            raise click.exceptions.Exit(18)
        return
    confirm(f"empty the nodes of {group} one after the other", yes=yes)
    _show_rolling_update(work.rolling_update(group, resume=resume, stop=stop_on_signals(), tell=tell, **fields), settings.output)


UPDATES: Columns = {"node": "node", "stage": "stage", "reason": "reason"}
UPDATE_MOVES: Columns = {
    "node": lambda row: row["node"],
    "vm": lambda row: row["vm"],
    "to": lambda row: row.get("to"),
    "why": lambda row: row.get("why"),
}


def _show_rolling_update(update: RollingUpdate, output: str) -> None:
    if output != "table":
        show_one(update, output)
        return
    show_many(update.nodes, UPDATES, "table")
    plans = [node.plan for node in update.nodes if node.plan is not None]
    rows = [{"node": plan.node, "vm": move.name, "to": move.node} for plan in plans for move in plan.moves]
    rows += [{"node": plan.node, "vm": vm.name, "why": vm.why} for plan in plans for vm in plan.stuck]
    if rows:
        show_many(rows, UPDATE_MOVES, "table")


__all__ = ["rolling_update"]
