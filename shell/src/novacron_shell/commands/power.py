"""Commands that change a VM's power state: start, stop, shutdown, reboot, reset, suspend, resume, save, restore."""

from __future__ import annotations

from typing import Any

import click

from novacron_shell.bulk import HELP, Bulk, many_vms, many_vms_beside_timeout
from novacron_shell.output import show_status

LONG = ("save", "restore")


def _command(verb: str, text: str) -> click.Command:
    @click.command(verb, help=f"{text}\n\n{HELP}")
    @many_vms
    def change(bulk: Bulk) -> None:
        options = {"wait": False} if verb in LONG else {}
        bulk.do(verb, lambda vm: getattr(vm, verb)(**options), show_status)

    return change


@click.command("shutdown", help=f"Ask the guests to shut down, and wait until they have.\n\n{HELP}")
@click.option("--timeout", default="60s", show_default=True, help="How long each guest may take to shut down.")
@click.option(
    "--otherwise", type=click.Choice(["fail", "stop"]), default="fail", show_default=True, help="What to do after the timeout."
)
@many_vms_beside_timeout
def shutdown(bulk: Bulk, timeout: str, otherwise: Any) -> None:
    """Ask the guests to shut down."""
    bulk.do("shutdown", lambda vm: vm.shutdown(timeout=timeout, otherwise=otherwise, wait=False), show_status)


VM_COMMANDS = {
    "start": _command("start", "Start VMs that are stopped, crashed or saved."),
    "shutdown": shutdown,
    "stop": _command("stop", "Power VMs off at once, without asking the guest."),
    "reboot": _command("reboot", "Ask the guests to reboot."),
    "reset": _command("reset", "Reset VMs at once, as a reset button does."),
    "suspend": _command("suspend", "Pause the CPUs of VMs. Their memory is kept."),
    "resume": _command("resume", "Continue suspended VMs."),
    "save": _command("save", "Write the memory of VMs to disk and power them off."),
    "restore": _command("restore", "Start VMs from their saved memory."),
}
