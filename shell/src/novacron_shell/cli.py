"""The tree of commands. A group's module is imported when one of its commands is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from novacron_shell.options import Settings, common_options

BUILT_IN = {
    "host": ("hosts", "Hosts of the fleet, or at a URI."),
    "vm": ("vms", "Virtual machines: create, list, start, change, delete."),
    "snapshot": ("snapshots", "Snapshots of a VM."),
    "migrate": ("migration", "Move a VM to another host."),
    "flow": ("flows", "Workflows: plan and run several steps, undone on failure."),
    "disk": ("disks", "Disks of a VM: attach, detach, grow, limit, change media."),
    "resources": ("resources", "CPU, memory and I/O of a VM: how many, where, how much at most."),
    "nic": ("nics", "NICs of a VM: attach, detach, change, plug and unplug."),
    "guest": ("guests", "The guest inside a VM, through its agent."),
    "pool": ("pools", "Storage pools."),
    "volume": ("volumes", "Volumes in a storage pool: create, copy, upload, download."),
    "image": ("images", "Operating system images: pull from a catalogue, a URL or a file."),
    "network": ("networks", "Networks and DHCP leases."),
    "filter": ("filters", "Traffic filters."),
    "template": ("templates", "Templates: make, deploy, versions."),
    "call": ("operations", "Any operation of the contract, by its name."),
    "plugin": ("plugins", "Drivers and plugins."),
    "shell": ("interactive", "The interactive shell."),
    "script": ("interactive", "Run a Python script with the shell's names."),
    "run": ("runs", "Runs of workflows: list, show, resume, cancel, pause, retry."),
    "schedule": ("schedules", "Workflows that begin by themselves: add, list, show, pause, resume, remove."),
    "worker": ("runs", "Run workflows from the queue, and those of processes that have ended."),
}
"""Command, the module that has it, and its line in the help."""


class LazyGroup(click.Group):
    """Imports a command's module at its first use; plugins' commands are looked for only when no built-in has the name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*BUILT_IN, *self._from_plugins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in BUILT_IN:
            module = import_module(f"novacron_shell.commands.{BUILT_IN[cmd_name][0]}")
            command: click.Command = module.COMMANDS[cmd_name]
            return command
        return self._from_plugins().get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        plugins = {name: command.get_short_help_str(80) for name, command in self._from_plugins().items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted({**{name: text for name, (_, text) in BUILT_IN.items()}, **plugins}.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1) if args else []
            if near:
                raise click.UsageError(f"no command {args[0]!r}, did you mean {near[0]!r}?", ctx) from None
            raise error

    def _from_plugins(self) -> dict[str, click.Command]:
        from novacron.plugins.application import application_plugins

        return {command.name or "": command for given in application_plugins().hook.register_commands() for command in given}


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="novacron", message="novacron %(version)s")
@common_options
@click.pass_context
def cli(context: click.Context, settings: Settings) -> None:
    """One command for every hypervisor.

    A host is a name of the fleet (--host) or any URI (-c): qemu:///system, qemu+ssh://root@kvm1/system, vsphere://user@vc, sim://lab.
    """
    context.obj = settings


__all__ = ["cli"]
