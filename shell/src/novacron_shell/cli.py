"""The tree of commands. A module of commands is imported when one of its commands is called or listed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

from novacron_shell.groups import CommandGroup
from novacron_shell.options import Settings, common_options

GROUPS = {
    "apply": ("labs", "Create and change what a lab file describes."),
    "alert": ("alerts", "Alerts: list, rules, silences, tests of rules."),
    "call": ("operations", "Call any operation of the driver contract by its name."),
    "completion": ("completion", "Print the completion script for bash, zsh or fish."),
    "config": ("config", "Show the configuration file and what it says."),
    "console": ("console", "Attach to the serial console of a VM."),
    "cp": ("ssh", "Copy files to or from a VM, by SSH or the guest agent."),
    "describe": ("labs", "Print what a host has as a lab file."),
    "destroy": ("labs", "Delete what was created for a lab."),
    "device": ("devices", "PCI and USB devices of a host: list them, attach them to VMs, detach them."),
    "diff": ("labs", "Show how the hosts differ from a lab file."),
    "disk": ("disks", "Disks of a VM: attach, detach, resize, limit, change media."),
    "doctor": ("doctor", "Check this machine, hosts or VMs, and say how to repair what is wrong."),
    "events": ("events", "Print events of the hosts as they happen."),
    "explain": ("explain", "Explain fields of specs and records: values, drivers, options, examples."),
    "fence": ("fence", "Fence devices: switch nodes off before their VMs are restarted elsewhere."),
    "filter": ("filters", "Traffic filters (firewall rules for NICs)."),
    "fleet": ("fleet", "Capacity of the fleet: report, groups and their limits."),
    "flow": ("flows", "Workflows: several steps, planned before and undone on failure."),
    "forecast": ("forecasts", "Forecasts: when a pool is full, how a metric continues."),
    "guest": ("guest", "The guest operating system, through its agent."),
    "host": ("host", "Hosts of the fleet, or a host given by its URI."),
    "image": ("images", "Operating system images: pull from a catalogue, a URL or a file."),
    "migrate": ("migration", "Move a VM to another host."),
    "monitor": ("monitor", "Metrics of all hosts and VMs: measure, collect, look up, push your own."),
    "network": ("networks", "Networks and their DHCP leases."),
    "nic": ("nics", "NICs of a VM: attach, detach, update, connect and disconnect."),
    "node": ("nodes", "Nodes of the fleet: capacity, groups, labels, cordon."),
    "plugin": ("plugins", "Drivers and plugins."),
    "pool": ("pools", "Storage pools."),
    "report": ("forecasts", "Write a page about capacity, trends, alerts and waste."),
    "resources": ("resources", "CPU, memory and I/O of a VM: amounts, pinning, limits."),
    "run": ("runs", "Runs of workflows: list, show, resume, cancel, pause, retry."),
    "schedule": ("schedules", "Workflows that start at set times: add, list, show, pause, resume, remove."),
    "schema": ("labs", "Print the JSON Schema of lab files or of a spec."),
    "script": ("interactive", "Run a Python script with the names of the interactive shell."),
    "screenshot": ("console", "Save a picture of a VM's display."),
    "send-key": ("console", "Press keys of the keyboard of a VM, or type a text."),
    "shell": ("interactive", "Start the interactive shell."),
    "snapshot": ("snapshots", "Snapshots of a VM."),
    "ssh": ("ssh", "Log in to a VM by SSH, run a command in it, or forward ports."),
    "ssh-config": ("ssh", "Print entries for ~/.ssh/config."),
    "template": ("templates", "Templates: create, deploy, versions."),
    "top": ("top", "Hosts and VMs, live, on the whole screen."),
    "up": ("up", "Create and start a VM from an image, and say how to log in."),
    "viewer": ("console", "Open the display of a VM, or print its URL."),
    "volume": ("volumes", "Volumes in a storage pool: create, clone, upload, download."),
    "wait": ("events", "Wait until VMs reach a status, or their guest is ready."),
    "worker": ("runs", "Run queued and scheduled workflows, and interrupted runs."),
}
"""Name of a command or group, the module in `commands/` that defines it, and its line in the help text."""

VM_COMMANDS = {
    "list": "lifecycle",
    "show": "lifecycle",
    "create": "lifecycle",
    "delete": "lifecycle",
    "rename": "lifecycle",
    "clone": "lifecycle",
    "update": "lifecycle",
    "ip": "guest",
    "export": "lifecycle",
    "import": "lifecycle",
    "set": "changes",
    "edit": "changes",
    "configuration": "changes",
    "start": "power",
    "shutdown": "power",
    "stop": "power",
    "reboot": "power",
    "reset": "power",
    "suspend": "power",
    "resume": "power",
    "save": "power",
    "restore": "power",
    "metrics": "metrics",
    "history": "metrics",
    "rates": "metrics",
    "export-appliance": "appliances",
    "import-appliance": "appliances",
    "migrate": "migration",
    "migrate-storage": "migration",
    "question": "questions",
}
"""Name of a command of `novacron vm`, and the module in `commands/` that defines it."""


SHORTCUTS = ("start", "shutdown", "stop", "reboot", "reset", "suspend", "resume", "set")
"""Commands of `novacron vm` that also work without `vm`: `novacron stop 'ci-*'`."""
ABBREVIATIONS = {"net": "network"}
"""Short words for groups that are typed often."""


class VMGroup(CommandGroup):
    """The group `novacron vm`. It imports the module of one command, not of all."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VM_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = VM_COMMANDS.get(cmd_name)
        return None if module is None else _defined(module, "VM_COMMANDS")[cmd_name]


class MainGroup(CommandGroup):
    """The command `novacron`. Plugins are asked for commands only when no built-in command has the name."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command; a word that is no command may be an alias of the configuration file."""
        own = {*GROUPS, *SHORTCUTS, *ABBREVIATIONS, "vm"}
        if args and args[0] not in own:
            from novacron_shell.config import expanded, read_config

            args = expanded(args, {name: line for name, line in read_config().aliases.items() if name not in own})
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*GROUPS, *SHORTCUTS, "vm", *_native_groups(), *self._from_plugins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = ABBREVIATIONS.get(cmd_name, cmd_name)
        if cmd_name == "vm":
            return vm
        if cmd_name in GROUPS:
            return _defined(GROUPS[cmd_name][0], "COMMANDS")[cmd_name]
        if cmd_name in SHORTCUTS:
            return vm.get_command(ctx, cmd_name)
        return _native_group(cmd_name) or self._from_plugins().get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        texts = {name: text for name, (_, text) in GROUPS.items()} | {"vm": vm.get_short_help_str(80)}
        texts |= _native_groups()
        plugins = {name: command.get_short_help_str(80) for name, command in self._from_plugins().items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted({**texts, **plugins}.items()))
            formatter.write_dl([(", ".join(SHORTCUTS), "The same as `novacron vm start` and so on.")])

    def _from_plugins(self) -> dict[str, click.Command]:
        from novacron.plugins.names import by_name
        from novacron.site import default_site

        given = (command for some in default_site().plugins.hook.register_commands() for command in some)
        return by_name("command", given)


def _native_groups() -> dict[str, str]:
    """Return the names and the help lines of the command groups of drivers' native operations."""
    from novacron.errors import PluginError
    from novacron.site import default_site

    found = {}
    for scheme in default_site().drivers.schemes():
        with suppress(PluginError):  # `novacron plugin list` shows broken drivers
            provider = default_site().drivers.provider_for(scheme)
            if getattr(provider, "native", ""):
                found[provider.schemes[0]] = provider.native
    return found


def _native_group(name: str) -> click.Command | None:
    """Return the command group of the native operations of the driver whose first scheme is `name`."""
    from novacron.site import default_site

    drivers = default_site().drivers
    if name not in drivers.schemes():
        return None
    provider = drivers.provider_for(name)
    if not getattr(provider, "native", "") or provider.schemes[0] != name:
        return None
    from novacron_shell.native import native_group

    return native_group(provider)


def _defined(module: str, table: str) -> Mapping[str, click.Command]:
    commands: Mapping[str, click.Command] = getattr(import_module(f"novacron_shell.commands.{module}"), table)
    return commands


@click.group("vm", cls=VMGroup)
def vm() -> None:
    """Virtual machines: create, list, start, change, delete."""


@click.group(cls=MainGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="novacron", message="novacron %(version)s")
@common_options
@click.pass_context
def cli(context: click.Context, settings: Settings) -> None:
    """Manage virtual machines on any hypervisor.

    Name a host of the fleet with --host, or any host by its URI with -c: qemu:///system, qemu+ssh://root@kvm1/system,
    vsphere://user@vc, sim://lab.
    """
    context.obj = settings


__all__ = ["cli"]
