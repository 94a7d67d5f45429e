"""`novacron events`: what happens on the hosts, as it happens. `novacron wait`: until something has happened."""

from __future__ import annotations

import fnmatch
import queue
import sys
import time
from typing import Any

import click

from novacron_shell.bulk import HELP, Bulk, many_vms_beside_timeout
from novacron_shell.options import DURATION, Settings, common_options
from novacron_shell.output import show_one, tell, write


@click.command("events")
@click.option("-f", "--follow", is_flag=True, help="Print events until Ctrl-C. This is the default without --for and --count.")
@click.option("--type", "kinds", multiple=True, metavar="PATTERN", help="Only these kinds, such as vm.status or 'vm.*'.")
@click.option("--vm", "vms", multiple=True, metavar="PATTERN", help="Only events of these VMs or other resources.")
@click.option("--for", "duration", type=DURATION, help="Stop after this time.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after this number of events.")
@common_options
def events(
    settings: Settings, follow: bool, kinds: tuple[str, ...], vms: tuple[str, ...], duration: float | None, count: int | None
) -> None:
    """Print what happens on one host or on the whole fleet, one line for each event; with -o json one JSON object a line."""
    happened: queue.SimpleQueue[Any] = queue.SimpleQueue()
    subscriptions = settings.ask(lambda host: host.subscribe(happened.put))
    tell(f"watching {len(subscriptions)} host{'s' if len(subscriptions) != 1 else ''}")
    until = None if duration is None or follow else time.monotonic() + duration
    seen = 0
    try:
        while count is None or seen < count:
            try:
                event = happened.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
            except queue.Empty:
                return
            if _matches(event.kind, kinds) and _matches(event.resource or "", vms):
                seen += 1
                _show(event, settings.output)
    finally:
        for subscription in subscriptions:
            subscription.close()


def _matches(value: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns)


def _show(event: Any, output: str) -> None:
    from novacron.text import printable_line

    if output in ("table", "wide"):
        words = (event.at, event.host, event.kind, event.resource or "", event.status or "", event.reason)
        write(printable_line("  ".join(word for word in words if word)))
    else:
        show_one(event, "ndjson" if output == "json" else output)
    sys.stdout.flush()


@click.command("wait", help=f"Wait until VMs reach CONDITION: a status, agent, ip, ssh or cloud-init.\n\n{HELP}")
@many_vms_beside_timeout
@click.argument("condition")
@click.option("--timeout", default="5m", show_default=True, help="How long to wait.")
def wait(bulk: Bulk, condition: str, timeout: str) -> None:
    """Wait until VMs reach a condition."""
    bulk.do(f"wait for {condition} of", lambda vm: _Reached(vm, vm.wait_for(condition, timeout=timeout)), _show_reached)


class _Reached:
    """A VM that reached the condition."""

    def __init__(self, vm: Any, found: Any) -> None:
        self.vm, self.status, self.found = vm, vm.status, found


def _show_reached(reached: _Reached, output: str) -> None:
    if output in ("table", "wide"):
        found = reached.found
        text = (
            ", ".join(each.address for each in found)
            if isinstance(found, list)
            else getattr(found, "hostname", None) or str(found)
        )
        tell(f"{reached.vm.name}: {text}")
    else:
        show_one(reached.vm.record, output)


COMMANDS = {"events": events, "wait": wait}
