"""`novacron doctor`: checks this machine, hosts and VMs, and says how to repair what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from novacron_shell.completion import complete_vms
from novacron_shell.options import Settings, list_options
from novacron_shell.output import Columns, show_many, tell

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.records.diagnosis import Finding

COLUMNS: Columns = {"status": "status", "check": "check", "subject": "subject", "message": "message"}
SECONDS = 60.0
"""How long each host may take unless `--timeout` says otherwise: the first probe of KVM takes seconds."""


@click.command("doctor")
@click.argument("words", metavar="[HOST|VM]...", nargs=-1, shell_complete=complete_vms)
@click.option("--all", "everything", is_flag=True, help="Also show the checks that found nothing wrong.")
@list_options
def doctor(settings: Settings, words: tuple[str, ...], everything: bool) -> None:
    """Check this machine and all hosts, or only HOST or VM, and say how to repair what is wrong.

    HOST is a host of the fleet or a URI; VM is a name or a selector. The exit code is 1 if there is a problem. Nothing is changed.
    """
    findings: list[Finding] = []
    if not words:
        from novacron.site import default_site

        findings += default_site().diagnose()
        findings += _all_hosts(settings)
    for word in words:
        findings += _of_word(settings, word)
    shown = findings if everything else [each for each in findings if each.status != "ok"]
    shown.sort(key=lambda each: ("problem", "warning", "ok").index(each.status))
    if shown or settings.output not in ("table", "wide"):
        show_many(shown, COLUMNS, settings.output, wide={"hint": "hint"})
    if settings.output in ("table", "wide"):
        for hint in dict.fromkeys(f"{each.subject}: {each.hint}" for each in shown if each.hint):
            tell(f"hint: {hint}")
    problems, warnings = (sum(each.status == status for each in findings) for status in ("problem", "warning"))
    tell(f"{len(findings)} checks: {problems} problems, {warnings} warnings")
    if problems:
        raise click.exceptions.Exit(1)


def _all_hosts(settings: Settings) -> Sequence[Finding]:
    from novacron import fleet

    if settings.named:
        return _of_host(settings, settings.connect or settings.host_name or "")
    if settings.fleet():
        return fleet().diagnose(timeout=settings.timeout or SECONDS)
    return _reached("the local host", "qemu:///system", settings.host)


def _of_word(settings: Settings, word: str) -> Sequence[Finding]:
    from novacron_shell.selection import select

    if "://" in word or word in settings.fleet():
        return _of_host(settings, word)
    return [finding for vm in select(settings, [word]) for finding in vm.diagnose()]


def _of_host(settings: Settings, place: str) -> Sequence[Finding]:
    from novacron import fleet

    uri = place if "://" in place else {host.name: host.uri for host in fleet().list()}.get(place, "")
    return _reached(place, uri, lambda: settings.open(place))


def _reached(name: str, uri: str, opened: Callable[[], HostHandle]) -> Sequence[Finding]:
    """Return the findings of a host, also if it can't be connected to."""
    from novacron.errors import HostConnectionError, OperationTimeoutError
    from novacron.fleets.diagnosis import unreachable

    try:
        host = opened()
    except (HostConnectionError, OperationTimeoutError) as error:
        return unreachable(name, uri, error)
    return host.diagnose()


COMMANDS = {"doctor": doctor}
