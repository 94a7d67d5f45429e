"""Commands of `novacron vm` that create, list, show, change, copy and delete VMs."""

from __future__ import annotations

import sys
from typing import Any

import click

from novacron_shell.options import Settings, common_options, given, nested, pairs
from novacron_shell.output import show_many, show_one, show_status, tell


@click.command("list")
@click.option("--name", help="Only VMs whose name matches this shell pattern.")
@click.option("--status", multiple=True, help="Only VMs in this status; may be given more than once.")
@click.option("--tag", help="Only VMs with this tag.")
@click.option("--node", help="Only VMs on this node of a cluster.")
@click.option("--sort", help="Field to sort by. A minus sign sorts in descending order: -memory.")
@click.option("--limit", type=int, help="Maximum number of VMs.")
@click.option("--cursor", help="Continue after the page that printed this cursor.")
@click.option("--full", is_flag=True, help="Also read devices and tags.")
@common_options
def list_(settings: Settings, full: bool, **query: Any) -> None:
    """List VMs, of one host or of the whole fleet."""
    from novacron.units import format_size

    hosts = settings.hosts()
    asked = given(**query, detail="full" if full else None)
    if "status" in asked:
        asked["status"] = tuple(asked["status"])
    pages = [hosts[0].vms.list(**asked)] if len(hosts) == 1 else _all(hosts, asked)
    columns: dict[str, Any] = {
        "name": "name", "status": "status", "vcpus": "vcpus", "memory": lambda v: format_size(v.memory_bytes), "host": "host",
    }  # fmt: skip
    if full:
        columns["tags"] = "tags"
    show_many([record for page in pages for record in page.records], columns, settings.output)
    for page in pages:
        if page.next:
            tell(f"{len(page)} of {page.total}; go on with --cursor {page.next}")


def _all(hosts: list[Any], asked: dict[str, Any]) -> list[Any]:
    from concurrent.futures import ThreadPoolExecutor

    from novacron.errors import NovaCronError

    def one(host: Any) -> Any:
        try:
            return host.vms.list(**asked)
        except NovaCronError as error:
            return error

    with ThreadPoolExecutor(min(32, len(hosts))) as pool:
        answers = list(pool.map(one, hosts))
    for host, answer in zip(hosts, answers, strict=True):
        if isinstance(answer, NovaCronError):
            tell(f"error: {host.name}: {answer}")
    pages = [a for a in answers if not isinstance(a, NovaCronError)]
    if not pages:
        raise answers[0]
    return pages


@click.command("show")
@click.argument("name")
@common_options
def show(settings: Settings, name: str) -> None:
    """Show all fields of the VM NAME."""
    show_one(settings.vm(name).record, settings.output)


@click.command("create")
@click.argument("name", required=False)
@click.option("--file", "file", type=click.File(), help="A YAML or JSON file with the fields of VMSpec; - is stdin.")
@click.option("--vcpus", type=int)
@click.option("--memory", help='Such as "2GiB".')
@click.option(
    "--disk", "disks", multiple=True, metavar="KEY=VALUE,...", help="size=20GiB or source=image:debian-13,size=20GiB,bus=scsi ..."
)
@click.option("--nic", "nics", multiple=True, metavar="KEY=VALUE,...", help="network=default,model=virtio ...")
@click.option("--firmware", type=click.Choice(["bios", "uefi", "uefi-secure"]))
@click.option("--kernel", help="Boot this kernel file of the host directly, without a boot loader.")
@click.option("--initrd", help="Used with --kernel.")
@click.option("--command-line", help="Used with --kernel.")
@click.option("--iso", help="Insert this ISO file of the host into a CD-ROM drive.")
@click.option("--arch")
@click.option("--machine")
@click.option("--tag", "tags", multiple=True)
@click.option("--description")
@click.option("--serial-log", help="Write the output of the serial console to this file on the host.")
@click.option(
    "--set",
    "more",
    multiple=True,
    metavar="FIELD=VALUE,...",
    help="Set any field of VMSpec: tpm=true, display.type=spice, numa.0.vcpus=0-1.",
)
@click.option("--start", is_flag=True, default=None, help="Start the VM after it is created.")
@common_options
def create(settings: Settings, name: str | None, file: Any, more: tuple[str, ...], disks: tuple[str, ...], nics: tuple[str, ...],
           kernel: str | None, initrd: str | None, command_line: str | None, serial_log: str | None, **fields: Any) -> None:  # fmt: skip
    """Create a VM."""
    from novacron_shell.progress import follow

    asked: dict[str, Any] = {}
    if file:
        from novacron_shell.yaml_files import load

        asked = load(file) or {}
        if not isinstance(asked, dict):
            raise click.BadParameter("the file has no mapping of fields to values", param_hint="--file")
    asked |= given(name=name, **fields)
    if disks:
        asked["disks"] = [nested(pairs(text)) for text in disks]
    if nics:
        asked["nics"] = [nested(pairs(text)) for text in nics]
    if kernel or initrd or command_line:
        asked["kernel"] = given(path=kernel, initrd=initrd, command_line=command_line)
    if serial_log:
        asked["serial"] = {"log": serial_log}
    asked |= nested({key: value for text in more for key, value in pairs(text).items()})
    made = follow(settings.host().vms.create(wait=False, **asked), f"create {asked.get('name', '')}")
    show_one(made.record, "name" if settings.output == "table" else settings.output)


@click.command("delete")
@click.argument("names", nargs=-1, required=True)
@click.option("--keep-disks", is_flag=True, help="Keep all volumes of the VM.")
@click.option("--force", is_flag=True, help="Stop the VM first if it runs.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@common_options
def delete(settings: Settings, names: tuple[str, ...], keep_disks: bool, force: bool, yes: bool) -> None:
    """Delete VMs and everything that was created for them."""
    for name in names:
        handle = settings.vm(name)
        if not yes and sys.stdin.isatty():
            click.confirm(f"delete {handle.name} on {handle.host.name} with its disks?", abort=True, err=True)
        gone = handle.delete(keep_disks=keep_disks, force=force)
        if settings.output == "table":
            tell(f"deleted: {', '.join(gone.removed) or gone.name}" + (f"; kept: {', '.join(gone.kept)}" if gone.kept else ""))
        else:
            show_one(gone, settings.output)


@click.command("rename")
@click.argument("name")
@click.argument("new_name")
@common_options
def rename(settings: Settings, name: str, new_name: str) -> None:
    """Rename the VM NAME to NEW_NAME."""
    show_status(settings.vm(name).rename(new_name), settings.output)


@click.command("clone")
@click.argument("name")
@click.argument("new_name")
@click.option("--linked", is_flag=True, help="Use the disks of the original as backing files.")
@click.option("--instant", is_flag=True, help="Copy a running VM with its memory. The copy runs at once.")
@common_options
def clone(settings: Settings, name: str, new_name: str, linked: bool, instant: bool) -> None:
    """Copy the stopped VM NAME. The copy is stopped."""
    from novacron_shell.progress import follow

    show_status(
        follow(settings.vm(name).clone(new_name, linked=linked, instant=instant, wait=False), f"clone {name}"), settings.output
    )


@click.command("update")
@click.argument("name")
@click.option("--vcpus", type=int)
@click.option("--memory")
@click.option("--description")
@click.option("--tag", "tags", multiple=True, help="The new tags. They replace all present tags.")
@click.option("--autostart/--no-autostart", default=None)
@common_options
def update(settings: Settings, name: str, **changes: Any) -> None:
    """Change fields of a VM. Fields that are not given stay as they are."""
    asked = given(**changes)
    if not asked:
        raise click.UsageError("nothing to change was given")
    show_status(settings.vm(name).update(**asked), settings.output)


@click.command("export")
@click.argument("name")
@common_options
def export(settings: Settings, name: str) -> None:
    """Print the definition of a VM in the hypervisor's native format."""
    definition = settings.vm(name).export()
    if settings.output == "table":
        click.echo(definition.text, nl=False)
    else:
        show_one(definition, settings.output)


@click.command("import")
@click.argument("file", type=click.File())
@common_options
def import_(settings: Settings, file: Any) -> None:
    """Define a VM from a definition in the hypervisor's native format (- reads stdin)."""
    show_status(settings.host().vms.import_definition(file.read()), settings.output)


VM_COMMANDS = {
    "list": list_,
    "show": show,
    "create": create,
    "delete": delete,
    "rename": rename,
    "clone": clone,
    "update": update,
    "export": export,
    "import": import_,
}
