"""`novacron volume`: volumes in a storage pool."""

from __future__ import annotations

from typing import Any

import click

from novacron.units import format_size
from novacron_shell.confirm import confirm, yes_option
from novacron_shell.groups import CommandGroup
from novacron_shell.options import SIZE, Settings, common_options, list_options, spec_options
from novacron_shell.output import Columns, show_many, show_one, tell

in_pool = click.option("--pool", default="default", show_default=True, help="The storage pool.")


@click.group("volume", cls=CommandGroup)
def volume() -> None:
    """Volumes in a storage pool."""


@volume.command("list")
@click.argument("pool", default="default")
@list_options
def list_(settings: Settings, pool: str) -> None:
    """List the volumes of POOL, of one host or of all hosts of the fleet that have it."""
    columns: Columns = {
        "name": "name",
        "format": "format",
        "capacity": "capacity_bytes",
        "allocated": "allocated_bytes",
        "backing": "backing",
        "host": "host",
    }
    show_many(settings.gather_from_owners(lambda host: host.invoke("volume_list", pool=pool)), columns, settings.output)


@volume.command("show")
@click.argument("name")
@in_pool
@common_options
def show(settings: Settings, name: str, pool: str) -> None:
    """Show a volume."""
    show_one(settings.host().invoke("volume_get", pool=pool, volume=name), settings.output)


@volume.command("locked")
@click.argument("name")
@in_pool
@common_options
def locked(settings: Settings, name: str, pool: str) -> None:
    """Tell whether a running VM, on any host that shares the pool, has the volume NAME open for writing."""
    found = settings.host().pools.volume_locked(name, pool)
    if settings.output == "table":
        tell(f"{name}: {'in use' if found else 'not in use'}")
    else:
        show_one({"volume": name, "pool": pool, "locked": found}, settings.output)


@volume.command("create")
@click.argument("name")
@spec_options
@in_pool
@common_options
def create(settings: Settings, name: str, pool: str, fields: dict[str, Any]) -> None:
    """Create a volume: novacron volume create data.qcow2 capacity=20GiB format=qcow2."""
    _said(settings, settings.host().pools.create_volume(pool, **({"name": name} | fields)))


@volume.command("resize")
@click.argument("name")
@click.argument("size", type=SIZE)
@click.option("--shrink", is_flag=True, help="Allow a smaller capacity. Data beyond it is lost.")
@in_pool
@common_options
def resize(settings: Settings, name: str, size: str, shrink: bool, pool: str) -> None:
    """Set the capacity of a volume. No running VM may use it."""
    _said(settings, settings.host().pools.resize_volume(name, size, pool, shrink=shrink))


@volume.command("clone")
@click.argument("name")
@click.argument("new_name")
@in_pool
@common_options
def clone(settings: Settings, name: str, new_name: str, pool: str) -> None:
    """Copy the volume NAME to NEW_NAME."""
    from novacron_shell.progress import follow

    _said(settings, follow(settings.host().pools.clone_volume(name, new_name, pool, wait=False), f"clone {name}"))


@volume.command("convert")
@click.argument("name")
@click.argument("new_name")
@click.argument("format_", metavar="FORMAT")
@in_pool
@common_options
def convert(settings: Settings, name: str, new_name: str, format_: str, pool: str) -> None:
    """Copy the volume NAME to NEW_NAME in another format (qcow2, raw, vmdk, vdi)."""
    from novacron_shell.progress import follow

    _said(settings, follow(settings.host().pools.convert_volume(name, new_name, format_, pool, wait=False), f"convert {name}"))


@volume.command("wipe")
@click.argument("name")
@yes_option
@in_pool
@common_options
def wipe(settings: Settings, name: str, yes: bool, pool: str) -> None:
    """Overwrite the content of the volume NAME with zeros."""
    from novacron_shell.progress import follow

    confirm(f"overwrite the volume {name} in {pool}", yes=yes)
    _said(settings, follow(settings.host().pools.wipe_volume(name, pool, wait=False), f"wipe {name}"))


@volume.command("upload")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.argument("name")
@in_pool
@common_options
def upload(settings: Settings, file: str, name: str, pool: str) -> None:
    """Upload FILE into the volume NAME. A missing volume is created. Holes in the file stay holes.

    An overlay (an image with a backing file) is refused; `qemu-img convert` makes a complete image of it.
    """
    _said(settings, settings.host().pools.upload(file, name, pool))


@volume.command("download")
@click.argument("name")
@click.argument("file", type=click.Path())
@in_pool
@common_options
def download(settings: Settings, name: str, file: str, pool: str) -> None:
    """Download the volume NAME to FILE, which must not exist. Holes in the volume stay holes."""
    _said(settings, settings.host().pools.download(name, file, pool))


@volume.command("delete")
@click.argument("names", nargs=-1, required=True)
@yes_option
@in_pool
@common_options
def delete(settings: Settings, names: tuple[str, ...], pool: str, yes: bool) -> None:
    """Delete volumes that no VM uses."""
    host = settings.host()
    confirm(f"delete {', '.join(names)} in {pool} on {host.name}", yes=yes)
    for name in names:
        host.pools.delete_volume(name, pool)
        tell(f"deleted: {name}")


def _said(settings: Settings, record: Any) -> None:
    if settings.output == "table":
        tell(f"{record.name}: {record.format}, {format_size(record.capacity_bytes)}")
    else:
        show_one(record, settings.output)


COMMANDS = {"volume": volume}
