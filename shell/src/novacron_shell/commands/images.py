"""`novacron image`: operating system images in a storage pool, and the catalogue they come from."""

from __future__ import annotations

import datetime

import click

from novacron.records.images import Image
from novacron.units import format_size
from novacron_shell.confirm import confirm, yes_option
from novacron_shell.groups import CommandGroup
from novacron_shell.options import Settings, common_options, list_options
from novacron_shell.output import Columns, show_many, show_one, tell

in_pool = click.option("--pool", default="default", show_default=True, help="The storage pool.")


@click.group("image", cls=CommandGroup)
def image() -> None:
    """Operating system images: pull one, then make VMs of it with `novacron vm create --disk source=image:NAME`."""


@image.command("list")
@click.option("--available", is_flag=True, help="List the catalogue instead of the storage pool.")
@in_pool
@list_options
def list_(settings: Settings, available: bool, pool: str) -> None:
    """List the images of a storage pool, of one host or of the whole fleet; or the catalogue."""
    if available:
        columns: Columns = {"name": "name", "title": "title", "user": "user", "arch": "arch", "url": "url"}
        found = {each.name: each for sources in settings.ask(lambda host: host.images.available().values()) for each in sources}
        show_many([*found.values()], columns, settings.output)
        return
    columns = {
        "name": "name",
        "format": "format",
        "size": "capacity_bytes",
        "user": "user",
        "checked": _checked,
        "pulled": lambda i: _date(i.pulled_at),
        "from": "url",
        "host": "host",
    }
    images = settings.gather_from_owners(lambda host: host.images.list(pool))
    show_many(images, columns, settings.output)


@image.command("pull")
@click.argument("reference", metavar="NAME|URL|FILE")
@click.option("--name", help="What to call it; the catalogue's name or the file's by default.")
@click.option("--checksum", metavar="HEX", help="The expected SHA-256 or SHA-512.")
@click.option("--no-verify", is_flag=True, help="Do not check the catalogue's checksum and signature.")
@click.option("--replace", is_flag=True, help="Replace an image of this name that nothing uses.")
@in_pool
@common_options
def pull(
    settings: Settings, reference: str, name: str | None, checksum: str | None, no_verify: bool, replace: bool, pool: str
) -> None:
    """Fetch an image from the catalogue, a URL or a file, check it, and put it into a storage pool."""
    from novacron_shell.progress import follow

    job = settings.host().images.pull(
        reference, name=name, pool=pool, checksum=checksum, verify=not no_verify, replace=replace, wait=False
    )
    _said(settings, follow(job, f"pull {reference}"))


@image.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--name", help="What to call it; the file's name by default.")
@click.option("--checksum", metavar="HEX", help="The expected SHA-256 or SHA-512.")
@click.option("--replace", is_flag=True, help="Replace an image of this name that nothing uses.")
@in_pool
@common_options
def import_(settings: Settings, file: str, name: str | None, checksum: str | None, replace: bool, pool: str) -> None:
    """Put an image file of this machine into a storage pool."""
    from pathlib import Path

    from novacron_shell.progress import follow

    job = settings.host().images.pull(
        str(Path(file).absolute()), name=name, pool=pool, checksum=checksum, replace=replace, wait=False
    )
    _said(settings, follow(job, f"import {file}"))


@image.command("show")
@click.argument("name")
@in_pool
@common_options
def show(settings: Settings, name: str, pool: str) -> None:
    """Show an image."""
    show_one(settings.host().images.get(name, pool), settings.output)


@image.command("remove")
@click.argument("names", nargs=-1, required=True)
@yes_option
@in_pool
@common_options
def remove(settings: Settings, names: tuple[str, ...], yes: bool, pool: str) -> None:
    """Delete images that no VM uses."""
    host = settings.host()
    images = f"the image{'s' if len(names) > 1 else ''} {', '.join(names)}"
    confirm(f"delete {images} in the storage pool {pool} on {host.name}", yes=yes)
    for name in names:
        host.images.remove(name, pool)
        tell(f"deleted: {name}")


@image.command("prune")
@yes_option
@in_pool
@common_options
def prune(settings: Settings, yes: bool, pool: str) -> None:
    """Delete all images of a storage pool that no VM uses."""
    confirm(f"delete all unused images in the storage pool {pool}", yes=yes)
    for each in settings.host().images.prune(pool):
        tell(f"deleted: {each.name}")


def _said(settings: Settings, record: Image) -> None:
    if settings.output == "table":
        tell(f"{record.name}: {record.format}, {format_size(record.capacity_bytes)}, {_checked(record)}")
    else:
        show_one(record, settings.output)


def _checked(record: Image) -> str:
    return "signature and checksum" if record.signed else "checksum" if record.checksum else "not checked"


def _date(seconds: float | None) -> str:
    return datetime.datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M") if seconds else ""


COMMANDS = {"image": image}
