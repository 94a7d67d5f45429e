"""Commands of `novacron vm` that create, list, show, change, copy and delete VMs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from novacron_shell.bulk import HELP, Bulk, each_vm, many_vms
from novacron_shell.completion import complete_vms, remember
from novacron_shell.confirm import confirm, yes_option
from novacron_shell.first_boot import first_boot_options, image_disk, login_user
from novacron_shell.options import SIZE, Settings, TextFile, common_options, given, list_options, nested, pairs, read_fields
from novacron_shell.output import show_many, show_one, show_status, tell, write
from novacron_shell.selection import select


@click.command("list")
@click.argument("words", metavar="[VM]...", nargs=-1, shell_complete=complete_vms)
@click.option("--name", help="Only VMs whose name matches this shell pattern.")
@click.option("--status", multiple=True, help="Only VMs in this status. May be given more than once.")
@click.option("--tag", multiple=True, help="Only VMs with this tag. May be given more than once: all tags must be there.")
@click.option("--node", help="Only VMs on this node of a cluster.")
@click.option("--folder", help="Only VMs in this folder and below: its path or the end of it.")
@click.option("--limit", type=int, help="Maximum number of VMs.")
@click.option("--cursor", help="Continue after the page that printed this cursor.")
@click.option("--full", is_flag=True, help="Also read devices and tags.")
@list_options
def list_(settings: Settings, words: tuple[str, ...], full: bool, **filters: Any) -> None:
    """List VMs of one host or of the whole fleet.

    VM is a name, a pattern such as 'web-*', tag:TAG, host:HOST, status:STATUS or @GROUP.
    """
    from novacron.specs.query import VMQuery

    detail = "full" if full or settings.output == "wide" or set(settings.columns) & FULL_COLUMNS else None
    query = VMQuery.of(**given(**filters, sort=settings.sort, detail=detail))
    settings.sort = None  # the query has sorted
    hosts: dict[str, Any] = {}
    if words:
        handles = select(settings, words, full=bool(detail or query.tag))
        hosts, chosen = {vm.record.host: vm.host for vm in handles}, [vm.record for vm in handles]
    else:
        everything = query.without_page()
        answers = settings.ask(lambda host: (host, host.invoke("vm_list", query=everything)))
        hosts, chosen = {host.name: host for host, _ in answers}, [vm for _, answer in answers for vm in answer]
        if not (query.name or query.status or query.tag or query.node):
            remember(((vm.host, vm.name) for vm in chosen), hosts)
    page = query.page(chosen)
    shown: dict[str, Any] = COLUMNS | ({"tags": "tags"} if full else {})
    with_addresses = "addresses" in settings.columns if settings.columns else detail and settings.output != "table"
    items = _addressed(page.items, hosts) if with_addresses else page.items
    show_many(items, shown, settings.output, wide=WIDE | {"protection": Protections()})
    if page.next:
        tell(f"{len(page)} of {page.total}; continue with --cursor {page.next}")


COLUMNS: dict[str, Any] = {"name": "name", "status": "status", "vcpus": "vcpus", "memory": "memory_bytes", "host": "host"}
WIDE: dict[str, Any] = {
    "node": "node",
    "tags": "tags",
    "addresses": lambda vm: addresses_of(vm),
    "id": "id",
    "description": "description",
}
FULL_COLUMNS = {
    "tags",
    "addresses",
    "disks",
    "nics",
    "description",
    "metadata",
    "arch",
    "machine",
    "firmware",
    "autostart",
    "locked_memory",
    "created_at",
    "agent_connected",
}
"""Columns that a plain listing does not read."""


class Protections:
    """The protection of VMs from a failure of their node, A to D, as the state database knows it. It is read when it is first shown.

    Without that database VMs are listed all the same: it may be one of them that does not run.
    """

    def __init__(self) -> None:
        self._levels: dict[str, str] | None = None

    def __call__(self, vm: Any) -> str | None:
        if self._levels is None:
            from novacron import fleet
            from novacron.errors import StorageError

            try:
                self._levels = {each.vm: each.level for each in fleet().failover.protection(refresh=False)}
            except StorageError as error:
                self._levels = {}
                tell(f"the protection of the VMs is not known: {error}")
        return self._levels.get(vm.id)


def _addressed(records: Sequence[Any], hosts: Mapping[str, Any]) -> list[Any]:
    """Return the records, in their order, with the addresses of their NICs."""
    from novacron.handles.addresses import with_addresses

    mine: dict[str, list[Any]] = {}
    for record in records:
        mine.setdefault(record.host, []).append(record)
    filled = {(vm.host, vm.id): vm for host, some in mine.items() if host in hosts for vm in with_addresses(hosts[host], some)}
    return [filled.get((record.host, record.id), record) for record in records]


def addresses_of(vm: Any) -> list[str]:
    """Return the IP addresses of a VM's NICs, as far as they are known."""
    return [address for nic in vm.nics or () for address in nic.addresses]


@click.command("show")
@each_vm
def show(bulk: Bulk) -> None:
    """Show all fields of VM."""
    from novacron.handles.addresses import with_addresses

    # a single VM has just been read in full
    bulk.show(lambda vm: with_addresses(vm.host, [vm.record if bulk.single else vm.refresh().record])[0])


@click.command("create")
@click.argument("name", required=False)
@click.option("--file", "file", type=click.File(), help="A YAML or JSON file with the fields of VMSpec; - is stdin.")
@click.option("--vcpus", type=int, help="Number of virtual CPUs Default: 1.")
@click.option("--memory", type=SIZE, help='Memory with its unit, such as "2GiB". Default: 512 MiB.')
@click.option(
    "--disk",
    "disks",
    multiple=True,
    metavar="KEY=VALUE,...",
    help="A disk: 20GiB, or source=image:debian-13,size=20GiB,bus=scsi. `novacron explain disk` lists the keys.",
)
@click.option(
    "--nic",
    "nics",
    multiple=True,
    metavar="KEY=VALUE,...",
    help="A NIC: default,model=virtio is one of the network `default`. `novacron explain nic` lists the keys.",
)
@click.option(
    "--image", help="Start the first disk from this image: a name of the catalogue, a URL or a file. It is pulled if needed."
)
@click.option("--size", type=SIZE, help="The size of the disk of --image, such as 20GiB.")
@click.option(
    "--firmware",
    type=click.Choice(["bios", "uefi", "uefi-secure"]),
    help="Firmware that boots the VM; uefi-secure has Secure Boot. Default: bios.",
)
@click.option("--kernel", help="Boot this kernel file of the host directly, without a boot loader.")
@click.option("--initrd", help="Initial RAM disk on the host, with --kernel.")
@click.option("--command-line", help="Command line of the kernel, with --kernel.")
@click.option("--iso", help="Insert this ISO file of the host into a CD-ROM drive.")
@click.option("--arch", help="CPU architecture, such as x86_64. Default: the best one of the host.")
@click.option("--machine", help="Machine type in the hypervisor's own words, such as q35. Default: the hypervisor chooses.")
@click.option("--tag", "tags", multiple=True, help="A tag of the VM, for groups and filters. May be given more than once.")
@click.option("--description", help="Your own text.")
@click.option("--serial-log", help="Write the output of the serial console to this file on the host.")
@click.option(
    "--set",
    "more",
    multiple=True,
    metavar="FIELD=VALUE,...",
    help="Set any field of VMSpec: tpm=true, display.type=spice, numa.0.vcpus=0-1. `novacron explain vm` lists them.",
)
@click.option("--start", is_flag=True, default=None, help="Start the VM after it is created.")
@click.option(
    "--dry-run", is_flag=True, help="Check everything, print the definition in the hypervisor's format, and create nothing."
)
@click.option(
    "--node-label", "node_labels", multiple=True, metavar="NAME=VALUE", help="With --host auto: only nodes with this label."
)
@first_boot_options
@common_options
def create(
    settings: Settings,
    cloud_init: dict[str, Any],
    image: str | None,
    size: Any,
    name: str | None,
    file: Any,
    more: tuple[str, ...],
    disks: tuple[str, ...],
    nics: tuple[str, ...],
    kernel: str | None,
    initrd: str | None,
    command_line: str | None,
    serial_log: str | None,
    node_labels: tuple[str, ...],
    dry_run: bool,
    **fields: Any,
) -> None:
    """Create a VM.

    --host auto chooses the best node of the fleet, --host auto:GROUP that of a group.
    """
    from novacron_shell.progress import follow

    asked: dict[str, Any] = {}
    if file:
        asked = read_fields(file)
    asked |= given(name=name, **fields)
    if disks:
        asked["disks"] = [nested(pairs(text, "size")) for text in disks]
    if size and not image:
        raise click.UsageError("--size goes with --image; --disk size=... makes a blank disk")
    if cloud_init:
        asked["cloud_init"] = {**(asked.get("cloud_init") or {}), **cloud_init}
    if nics:
        asked["nics"] = [nested(pairs(text, "network")) for text in nics]
    if kernel or initrd or command_line:
        asked["kernel"] = given(path=kernel, initrd=initrd, command_line=command_line)
    if serial_log:
        asked["serial"] = {"log": serial_log}
    asked |= nested({key: value for text in more for key, value in pairs(text).items()})

    if dry_run:
        if image or settings.placement:
            raise click.UsageError(
                "--dry-run creates nothing: name the host with --host, and the image with --disk source=image:NAME"
            )
        _show_definition(settings.host().vms.preview(**asked), settings.output)
        return

    def make(host: Any, **placed: Any) -> Any:
        """Create the VM on a host, which pulls the image first if it does not have it."""
        fields, user = {**asked, **placed}, None
        if image:
            disk, user = image_disk(host, image, size=size)
            fields["disks"] = [disk, *fields.get("disks", ())]
        if known := login_user(fields.get("cloud_init") or {}, user):
            fields["metadata"] = known | (fields.get("metadata") or {})
        return follow(host.vms.create(wait=False, **fields), f"create {fields.get('name', '')}")

    made = _make_anywhere(settings, asked, size, node_labels, make) if settings.placement else make(settings.host())
    if settings.placement and settings.output == "table":
        tell(f"{made.name} is on {made.host.name}")
    show_one(made.record, "name" if settings.output == "table" else settings.output)


def _make_anywhere(settings: Settings, asked: dict[str, Any], size: Any, labels: tuple[str, ...], make: Any) -> Any:
    """Create a VM on the best node of the fleet. The size of an image's disk counts if it was given."""
    from novacron import VMSpec, fleet

    (group,) = settings.placement or (None,)
    spec = VMSpec.parse({**asked, "disks": [*([{"size": size}] if size else []), *asked.get("disks", ())]})

    def placed(host: Any, chosen: VMSpec) -> Any:
        return make(host, **given(node=chosen.node))

    return fleet().placer().create(spec, group, parse_labels(labels), placed)


def parse_labels(texts: tuple[str, ...]) -> dict[str, str]:
    """Return labels of nodes that were given as NAME=VALUE."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise click.UsageError(f"label {text!r}: write NAME=VALUE")
        found[name] = value
    return found


@click.command("delete", help=f"Delete VMs and everything that was created for them.\n\n{HELP}")
@click.option("--keep-disks", is_flag=True, help="Keep all volumes of the VM.")
@click.option("--force", is_flag=True, help="Stop the VM first if it runs.")
@yes_option
@many_vms
def delete(bulk: Bulk, keep_disks: bool, force: bool, yes: bool) -> None:
    """Delete VMs."""
    if not bulk.dry_run:
        disks = "" if keep_disks else " with its disks" if bulk.single else " with their disks"
        confirm(f"delete {bulk.names()}{disks}", yes=yes)
    bulk.do("delete", lambda vm: vm.delete(keep_disks=keep_disks, force=force), _show_deleted)


def _show_deleted(gone: Any, output: str) -> None:
    if output in ("table", "wide"):
        tell(f"deleted: {', '.join(gone.removed) or gone.name}" + (f"; kept: {', '.join(gone.kept)}" if gone.kept else ""))
        if gone.hint:
            tell(f"hint: {gone.hint}")
    else:
        show_one(gone, output)


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
@each_vm
@click.option("--vcpus", type=int, help="Number of virtual CPUs.")
@click.option("--memory", type=SIZE, help='Memory with its unit, such as "2GiB".')
@click.option("--description", help="Your own text; it replaces the former one.")
@click.option("--tag", "tags", multiple=True, help="The new tags. They replace all present tags.")
@click.option("--add-tag", "added", multiple=True, help="Add a tag to the present ones.")
@click.option("--remove-tag", "removed", multiple=True, help="Remove a tag from the present ones.")
@click.option("--autostart/--no-autostart", default=None, help="Start the VM when its host boots, or not.")
def update(bulk: Bulk, added: tuple[str, ...], removed: tuple[str, ...], **changes: Any) -> None:
    """Change fields of VM. Fields that are not given stay as they are. `novacron vm set` changes all others."""
    asked = given(**changes)
    if asked.get("tags") and (added or removed):
        raise click.UsageError("give either --tag, which replaces all tags, or --add-tag and --remove-tag")
    if not (asked or added or removed):
        raise click.UsageError("nothing to change was given")

    def change(vm: Any) -> Any:
        if not (added or removed):
            return vm.update(**asked)
        with vm.locked():  # another process may change the tags too
            present = vm.refresh().tags or frozenset()
            if bulk.single and (unknown := set(removed) - present):
                raise click.UsageError(
                    f"{vm.name} has no tag {', '.join(sorted(unknown))}; it has {', '.join(sorted(present)) or 'none'}"
                )
            return vm.update(**asked, tags=(present | set(added)) - set(removed))

    bulk.do("update", change, show_status)


@click.command("export")
@click.argument("name")
@common_options
def export(settings: Settings, name: str) -> None:
    """Print the definition of a VM in the hypervisor's native format."""
    _show_definition(settings.vm(name).export(), settings.output)


def _show_definition(definition: Any, output: str) -> None:
    if output == "table":
        write(definition.text, end="")
    else:
        show_one(definition, output)


@click.command("import")
@click.argument("file", type=TextFile())
@click.option(
    "--no-validate", is_flag=True, help="Accept a definition that breaks the hypervisor's schema, as some tools write it."
)
@common_options
def import_(settings: Settings, file: Any, no_validate: bool) -> None:
    """Define a VM from a definition in the hypervisor's native format (- reads stdin)."""
    show_status(settings.host().vms.import_definition(file.read(), validate=not no_validate), settings.output)


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
