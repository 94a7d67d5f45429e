"""`novacron template`: templates and the VMs made from them."""

from __future__ import annotations

from typing import Any

import click

from novacron_shell.confirm import confirm, yes_option
from novacron_shell.groups import CommandGroup
from novacron_shell.options import Settings, common_options, list_options, spec_options
from novacron_shell.output import Columns, show_many, show_one, tell

COLUMNS: Columns = {"name": "name", "version": "version", "created": "created_at", "tags": "tags", "description": "description"}


@click.group("template", cls=CommandGroup)
def template() -> None:
    """Templates: make, deploy, versions."""


@template.command("list")
@list_options
def list_(settings: Settings) -> None:
    """List the latest version of each template, of one host or of the whole fleet."""
    show_many(settings.gather("template_list"), {**COLUMNS, "host": "host"}, settings.output)


@template.command("versions")
@click.argument("name")
@list_options
def versions(settings: Settings, name: str) -> None:
    """List the versions of a template, oldest first."""
    show_many(settings.host().templates.versions(name), COLUMNS, settings.output)


@template.command("show")
@click.argument("name")
@common_options
def show(settings: Settings, name: str) -> None:
    """Show a template's latest version."""
    show_one(settings.host().templates[name], settings.output)


@template.command("create")
@click.argument("vm")
@click.argument("name")
@click.option("--description", default="", help="Your own text.")
@click.option("--tag", "tags", multiple=True, help="A tag of the template. May be given more than once.")
@click.option("--seal/--no-seal", default=True, help="Remove the machine id, SSH host keys and DHCP leases.")
@common_options
def create(settings: Settings, vm: str, name: str, **fields: Any) -> None:
    """Create the template NAME, or its next version, from the stopped VM."""
    from novacron_shell.progress import follow

    handle = settings.vm(vm)
    made = follow(handle.host.templates.create(handle, name, wait=False, **fields), f"template {name}")
    _said(settings, made)


@template.command("update")
@click.argument("name")
@click.option("--description", help="Your own text; it replaces the former one.")
@click.option("--tag", "tags", multiple=True, help="The new tags. They replace all present tags.")
@common_options
def update(settings: Settings, name: str, description: str | None, tags: tuple[str, ...]) -> None:
    """Change a template's latest version."""
    if description is None and not tags:
        raise click.UsageError("nothing to change was given")
    _said(settings, settings.host().templates.update(name, description=description, tags=tags or None))


@template.command("deploy")
@click.argument("name")
@click.argument("vm")
@spec_options
@click.option("--version", type=int, help="The latest version by default.")
@click.option("--linked/--full", default=True, help="Use the template's disks as backing files, or copy them.")
@common_options
def deploy(settings: Settings, name: str, vm: str, fields: dict[str, Any], version: int | None, linked: bool) -> None:
    """Create VM from the template NAME: novacron template deploy debian web1 memory=4GiB start=true."""
    from novacron_shell.progress import follow

    job = settings.host().templates.deploy(name, vm, version=version, linked=linked, wait=False, **fields)
    show_one(follow(job, f"deploy {vm}").record, "name" if settings.output == "table" else settings.output)


@template.command("delete")
@click.argument("name")
@click.option("--version", type=int, help="All versions by default.")
@yes_option
@common_options
def delete(settings: Settings, name: str, version: int | None, yes: bool) -> None:
    """Delete a template, or one of its versions. No VM may be linked to it."""
    host = settings.host()
    confirm(f"delete {f'version {version}' if version else 'all versions'} of the template {name} on {host.name}", yes=yes)
    host.templates.delete(name, version)
    tell(f"deleted: {name}" + (f" version {version}" if version else ""))


def _said(settings: Settings, record: Any) -> None:
    if settings.output == "table":
        tell(f"{record.name} version {record.version}")
    else:
        show_one(record, settings.output)


COMMANDS = {"template": template}
