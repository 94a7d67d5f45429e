"""`novacron vm`: virtual machines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from novacron_shell.options import Settings, common_options, given, nested, pairs
from novacron_shell.output import show_many, show_one, tell


@click.group("vm")
def vm() -> None:
    """Virtual machines: create, list, start, change, delete."""


@vm.command("list")
@click.option("--name", help="Only names like this shell pattern.")
@click.option("--status", multiple=True, help="Only VMs in this status; may be given more than once.")
@click.option("--tag", help="Only VMs with this tag.")
@click.option("--node", help="Only VMs on this member host.")
@click.option("--sort", help="Field to sort by; -memory descends.")
@click.option("--limit", type=int, help="At most so many.")
@click.option("--cursor", help="Go on after the page that named this cursor.")
@click.option("--full", is_flag=True, help="Read devices and tags too.")
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


@vm.command("show")
@click.argument("name")
@common_options
def show(settings: Settings, name: str) -> None:
    """Show all that is known of the VM NAME."""
    show_one(settings.vm(name).record, settings.output)


@vm.command("create")
@click.argument("name", required=False)
@click.option("--file", "file", type=click.File(), help="A YAML or JSON file with the fields of VMSpec; - is stdin.")
@click.option("--vcpus", type=int)
@click.option("--memory", help='Such as "2GiB".')
@click.option(
    "--disk", "disks", multiple=True, metavar="KEY=VALUE,...", help="size=20GiB or source=image:debian-13,size=20GiB,bus=scsi ..."
)
@click.option("--nic", "nics", multiple=True, metavar="KEY=VALUE,...", help="network=default,model=virtio ...")
@click.option("--firmware", type=click.Choice(["bios", "uefi", "uefi-secure"]))
@click.option("--kernel", help="Boot this kernel file of the host directly.")
@click.option("--initrd", help="With --kernel.")
@click.option("--command-line", help="With --kernel.")
@click.option("--iso", help="Put this ISO file of the host into a CD-ROM drive.")
@click.option("--arch")
@click.option("--machine")
@click.option("--tag", "tags", multiple=True)
@click.option("--description")
@click.option("--serial-log", help="A file of the host that gets the serial console's output.")
@click.option(
    "--set",
    "more",
    multiple=True,
    metavar="FIELD=VALUE,...",
    help="Any field: tpm=true, display.type=spice, numa.0.vcpus=0-1.",
)
@click.option("--start", is_flag=True, default=None, help="Start it when it is made.")
@common_options
def create(settings: Settings, name: str | None, file: Any, more: tuple[str, ...], disks: tuple[str, ...], nics: tuple[str, ...],
           kernel: str | None, initrd: str | None, command_line: str | None, serial_log: str | None, **fields: Any) -> None:  # fmt: skip
    """Create a VM."""
    from novacron_shell.progress import follow

    asked: dict[str, Any] = {}
    if file:
        import yaml

        asked = yaml.safe_load(file) or {}
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


def _verb(verb: str, text: str, *, long: bool = False) -> None:
    @vm.command(verb, help=text)
    @click.argument("names", nargs=-1, required=True)
    @common_options
    def do(settings: Settings, names: tuple[str, ...]) -> None:
        from novacron_shell.progress import follow

        for name in names:
            handle = settings.vm(name)
            method = getattr(handle, verb)
            done = follow(method(wait=False), f"{verb} {name}") if long else method()
            _said(settings, done)


def _said(settings: Settings, handle: Any) -> None:
    if settings.output == "table":
        tell(f"{handle.name} is {handle.status}")
    else:
        show_one(handle.record, settings.output)


_verb("start", "Start stopped or saved VMs.")
_verb("stop", "Power VMs off at once.")
_verb("reboot", "Ask guests to reboot.")
_verb("reset", "Press VMs' reset button.")
_verb("suspend", "Halt VMs, their memory kept.")
_verb("resume", "Let suspended VMs go on.")
_verb("save", "Write VMs' memory to disk and power off.", long=True)
_verb("restore", "Go on from saved memory.", long=True)


@vm.command("shutdown")
@click.argument("names", nargs=-1, required=True)
@click.option("--timeout", default="60s", show_default=True, help="How long a guest may take.")
@click.option("--otherwise", type=click.Choice(["fail", "stop"]), default="fail", show_default=True, help="What to do then.")
@common_options
def shutdown(settings: Settings, names: tuple[str, ...], timeout: str, otherwise: str) -> None:
    """Ask guests to shut down."""
    from novacron_shell.progress import follow

    for name in names:
        handle = settings.vm(name)
        _said(settings, follow(handle.shutdown(timeout=timeout, otherwise=otherwise, wait=False), f"shutdown {name}"))  # type: ignore[arg-type]


@vm.command("delete")
@click.argument("names", nargs=-1, required=True)
@click.option("--keep-disks", is_flag=True, help="Keep all its volumes.")
@click.option("--force", is_flag=True, help="Stop it first when it runs.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common_options
def delete(settings: Settings, names: tuple[str, ...], keep_disks: bool, force: bool, yes: bool) -> None:
    """Delete VMs with everything made for them."""
    for name in names:
        handle = settings.vm(name)
        if not yes and sys.stdin.isatty():
            click.confirm(f"delete {handle.name} on {handle.host.name} with its disks?", abort=True, err=True)
        gone = handle.delete(keep_disks=keep_disks, force=force)
        if settings.output == "table":
            tell(f"deleted: {', '.join(gone.removed) or gone.name}" + (f"; kept: {', '.join(gone.kept)}" if gone.kept else ""))
        else:
            show_one(gone, settings.output)


@vm.command("rename")
@click.argument("name")
@click.argument("new_name")
@common_options
def rename(settings: Settings, name: str, new_name: str) -> None:
    """Give the VM NAME another name."""
    _said(settings, settings.vm(name).rename(new_name))


@vm.command("clone")
@click.argument("name")
@click.argument("new_name")
@click.option("--linked", is_flag=True, help="Share the disks' content with the original.")
@click.option("--instant", is_flag=True, help="Make a running copy of the running VM, which goes on from its memory.")
@common_options
def clone(settings: Settings, name: str, new_name: str, linked: bool, instant: bool) -> None:
    """Make a stopped copy of the stopped VM NAME."""
    from novacron_shell.progress import follow

    _said(settings, follow(settings.vm(name).clone(new_name, linked=linked, instant=instant, wait=False), f"clone {name}"))


@vm.command("update")
@click.argument("name")
@click.option("--vcpus", type=int)
@click.option("--memory")
@click.option("--description")
@click.option("--tag", "tags", multiple=True, help="The tags it shall have.")
@click.option("--autostart/--no-autostart", default=None)
@common_options
def update(settings: Settings, name: str, **changes: Any) -> None:
    """Change only what is given."""
    asked = given(**changes)
    if not asked:
        raise click.UsageError("nothing to change was given")
    _said(settings, settings.vm(name).update(**asked))


@vm.command("metrics")
@click.argument("name")
@common_options
def metrics(settings: Settings, name: str) -> None:
    """Measure the VM NAME now."""
    show_one(settings.vm(name).metrics(), settings.output)


@vm.command("history")
@click.argument("name")
@click.option("--over", default="1h", show_default=True, help="How far back to look.")
@common_options
def history(settings: Settings, name: str, over: str) -> None:
    """Tell what the VM NAME used, as its hypervisor kept it: a line for each interval, the oldest first."""
    from novacron.units import format_size

    def size(field: str, unit: str = "/s") -> Any:
        return lambda r: "-" if getattr(r, field) is None else f"{format_size(int(getattr(r, field)))}{unit}"

    columns: dict[str, Any] = {
        "until": "at", "seconds": lambda r: f"{r.seconds:g}", "cpus": lambda r: "-" if r.cpus is None else f"{r.cpus:.2f}",
        "memory": size("memory_used_bytes", ""), "read": size("disk_read_bytes"), "written": size("disk_written_bytes"),
        "received": size("net_received_bytes"), "sent": size("net_sent_bytes"),
    }  # fmt: skip
    show_many(settings.vm(name).history(over), columns, settings.output)


@vm.command("rates")
@click.argument("names", nargs=-1)
@click.option("--over", default="1s", show_default=True, help="The time between the two measurements.")
@common_options
def rates(settings: Settings, names: tuple[str, ...], over: str) -> None:
    """Tell what running VMs do per second: those with the NAMES, or all of a host, busiest first."""
    from novacron.units import format_size

    if names:
        from concurrent.futures import ThreadPoolExecutor

        chosen = [settings.vm(name) for name in names]
        with ThreadPoolExecutor(min(32, len(chosen))) as pool:
            found = list(pool.map(lambda one: one.rates(over), chosen))
        called = {one.id: one.name for one in chosen}
    else:
        host = settings.host()
        found = host.vms.rates(over)
        called = {record.id: record.name for record in host.vms.list().records}

    def size(field: str) -> Any:
        return lambda r: f"{format_size(getattr(r, field))}/s"

    columns: dict[str, Any] = {
        "name": lambda r: called.get(r.vm, r.vm), "cpus": lambda r: f"{r.cpus:.2f}", "read": size("disk_read_bytes"),
        "written": size("disk_written_bytes"), "received": size("net_received_bytes"), "sent": size("net_sent_bytes"), "host": "host",
    }  # fmt: skip
    show_many(sorted(found, key=lambda r: -r.cpus), columns, settings.output)


@vm.command("export")
@click.argument("name")
@common_options
def export(settings: Settings, name: str) -> None:
    """Print the definition in the hypervisor's own language."""
    definition = settings.vm(name).export()
    if settings.output == "table":
        click.echo(definition.text, nl=False)
    else:
        show_one(definition, settings.output)


@vm.command("import")
@click.argument("file", type=click.File())
@common_options
def import_(settings: Settings, file: Any) -> None:
    """Define a VM from the hypervisor's own language; - is stdin."""
    _said(settings, settings.host().vms.import_definition(file.read()))


@vm.command("export-appliance")
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@common_options
def export_appliance(settings: Settings, name: str, file: Path) -> None:
    """Write a stopped VM into FILE as an OVA, for any hypervisor."""
    show_one(settings.vm(name).export_appliance(file), settings.output)


@vm.command("import-appliance")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="Its name here; the appliance's own unless given.")
@click.option("--pool", default="default", show_default=True, help="The storage pool for its disks.")
@click.option(
    "--network", "networks", multiple=True, metavar="THEIRS=OURS", help="The network here in place of one of the appliance's."
)
@click.option("--start", is_flag=True, help="Start it.")
@common_options
def import_appliance(settings: Settings, file: Path, name: str | None, pool: str, networks: tuple[str, ...], start: bool) -> None:
    """Make a VM of an OVA."""
    parts = [network.partition("=") for network in networks]
    for theirs, equals, ours in parts:
        if not equals or not ours:
            raise click.BadParameter(f"{theirs!r} is not THEIRS=OURS", param_hint="--network")
    mapping = {theirs: ours for theirs, _, ours in parts}
    _said(settings, settings.host().vms.import_appliance(file, name=name, pool=pool, networks=mapping, start=start))


@vm.command("migrate-storage")
@click.argument("name")
@click.argument("pool")
@click.argument("disks", nargs=-1)
@common_options
def migrate_storage(settings: Settings, name: str, pool: str, disks: tuple[str, ...]) -> None:
    """Move the VM NAME's DISKS, all when none is named, to the storage pool POOL."""
    from novacron_shell.progress import follow

    _said(settings, follow(settings.vm(name).migrate_storage(pool, *disks, wait=False), f"move disks of {name}"))


COMMANDS = {"vm": vm}
