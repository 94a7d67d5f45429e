"""Commands that change a VM's power state: start, stop, shutdown, reboot, reset, suspend, resume, save, restore."""

from __future__ import annotations

import click

from novacron_shell.options import Settings, common_options
from novacron_shell.output import show_status
from novacron_shell.progress import follow


def _command(verb: str, text: str, *, long: bool = False) -> click.Command:
    @click.command(verb, help=text)
    @click.argument("names", nargs=-1, required=True)
    @common_options
    def change(settings: Settings, names: tuple[str, ...]) -> None:
        for name in names:
            handle = settings.vm(name)
            method = getattr(handle, verb)
            show_status(follow(method(wait=False), f"{verb} {name}") if long else method(), settings.output)

    return change


@click.command("shutdown")
@click.argument("names", nargs=-1, required=True)
@click.option("--timeout", default="60s", show_default=True, help="How long each guest may take to shut down.")
@click.option(
    "--otherwise", type=click.Choice(["fail", "stop"]), default="fail", show_default=True, help="What to do after the timeout."
)
@common_options
def shutdown(settings: Settings, names: tuple[str, ...], timeout: str, otherwise: str) -> None:
    """Ask the guests to shut down, and wait until they have."""
    for name in names:
        job = settings.vm(name).shutdown(timeout=timeout, otherwise=otherwise, wait=False)  # type: ignore[arg-type]
        show_status(follow(job, f"shutdown {name}"), settings.output)


VM_COMMANDS = {
    "start": _command("start", "Start VMs that are stopped, crashed or saved."),
    "shutdown": shutdown,
    "stop": _command("stop", "Power VMs off at once, without asking the guest."),
    "reboot": _command("reboot", "Ask the guests to reboot."),
    "reset": _command("reset", "Reset VMs at once, as a reset button does."),
    "suspend": _command("suspend", "Pause the CPUs of VMs. Their memory is kept."),
    "resume": _command("resume", "Continue suspended VMs."),
    "save": _command("save", "Write the memory of VMs to disk and power them off.", long=True),
    "restore": _command("restore", "Start VMs from their saved memory.", long=True),
}
