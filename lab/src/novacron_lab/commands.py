"""`novacron lab`: bring real hosts up, look, work in them, take them down."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

name_option = click.option("--name", default="lab", show_default=True, help="The lab's name; its hosts are NAME-a, NAME-b, ...")
output_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="Output format. Default: table."
)


@click.group("lab")
def lab() -> None:
    """Real libvirt and QEMU hosts on this machine, to try things on.

    Needs root. Without it, sim:// hosts and libvirt's embedded QEMU driver (qemu:///embed) work.
    """


@lab.command("up")
@click.option("--hosts", default=2, show_default=True, type=click.IntRange(1, 26), help="How many.")
@click.option("--fencing", is_flag=True, help="Also give each host a Redfish endpoint that can switch it off, and virtlockd.")
@name_option
@output_option
def up(hosts: int, fencing: bool, name: str, output: str) -> None:
    """Bring the lab up, or heal it, and register its hosts in the fleet."""
    from novacron_lab import Lab

    made = Lab.up(hosts=hosts, name=name, leases=fencing)
    made.register()
    bmc = made.start_bmc() if fencing else None
    _show(made, output)
    if bmc is not None:
        print(f"export NOVACRON_SECRET_LAB_BMC_FILE={bmc.folder}/password", file=sys.stderr)
        print("novacron node refresh", file=sys.stderr)
        for host in made.hosts:
            options = " ".join(f"--option {name}={value}" for name, value in bmc.options(host.name, "lab-bmc").items())
            print(f"novacron fence set {host.name} redfish {options}", file=sys.stderr)


@lab.command("status")
@name_option
@output_option
def status(name: str, output: str) -> None:
    """Show the lab's hosts."""
    from novacron_lab import Lab

    _show(Lab.attach(name), output)


@lab.command("down")
@name_option
@click.option("--all", "all_", is_flag=True, help="Take down all labs, except those that running programs use.")
def down(name: str, all_: bool) -> None:
    """End the lab with all its guests and remove everything that it made.

    With --all also removes what is left of labs whose owner was killed, such as an interrupted test run.
    """
    from novacron_lab import Lab, requirements

    requirements.check()
    for there in Lab.all() if all_ else [Lab.attach(name)]:
        if all_ and there.in_use and there.owner:
            print(f"{there.name} is in use by process {there.owner.pid}", file=sys.stderr)
            continue
        there.unregister()
        there.down()
        print(f"{there.name} is down", file=sys.stderr)


@lab.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("host")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
@name_option
def exec_(host: str, argv: tuple[str, ...], name: str) -> None:
    """Run a program inside HOST: novacron lab exec lab-a -- virsh list."""
    from novacron_lab import Lab

    words = Lab.attach(name).host(host).enter(*argv)
    os.execvp(words[0], words)  # noqa: S606 - an argument list, no shell


@lab.command("demo")
@click.option("--no-shell", is_flag=True, help="End instead of opening the shell.")
def demo(no_shell: bool) -> None:
    """A real guest moves between two real hosts while it counts, and is snapshotted there."""
    from novacron_lab.demo import run

    run(shell=not no_shell)  # nosec B604 - no process: whether the NovaCron shell opens


def _show(there: Any, output: str) -> None:
    if output == "json":
        print(json.dumps(there.status(), indent=2))
        return
    for host in there.status():
        print(f"{host['name']:<12} {host['status']:<6} {host['uri']}")
    guest = there.guest
    print(f"guest: kernel {guest.kernel}, initrd {guest.initrd}", file=sys.stderr)


__all__ = ["lab"]
