"""`novacron up`: from an image to a VM that one can log in to, in one command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from novacron_shell.first_boot import first_boot_options, image_disk, login_user, own_keys
from novacron_shell.options import SIZE, Settings, common_options
from novacron_shell.output import show_one, tell

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle


@click.command("up")
@click.argument("image", metavar="IMAGE")
@click.argument("name")
@click.option("--vcpus", type=int, default=2, show_default=True, help="Number of virtual CPUs.")
@click.option("--memory", type=SIZE, default="2GiB", show_default=True, help="Memory with its unit.")
@click.option("--size", type=SIZE, default="20GiB", show_default=True, help="The size of the disk.")
@click.option("--network", default="default", show_default=True, help="The network of the NIC.")
@click.option("--pool", default="default", show_default=True, help="The storage pool.")
@click.option("--tag", "tags", multiple=True, help="A tag of the VM, for groups and filters. May be given more than once.")
@click.option(
    "--wait", default="5m", show_default=True, metavar="DURATION", help="Wait this long for an address; 0 does not wait."
)
@first_boot_options
@common_options
def up(
    settings: Settings,
    image: str,
    name: str,
    vcpus: int,
    memory: Any,
    size: Any,
    network: str,
    pool: str,
    tags: tuple[str, ...],
    wait: str,
    cloud_init: dict[str, Any],
) -> None:
    """Create and start the VM NAME from IMAGE, and say how to log in.

    IMAGE is a name of the catalogue (debian-13), a URL or a file. Your own public SSH keys may log in unless --ssh-key names others.
    A VM of that name that exists already is only started.
    """
    host = settings.host()
    vm, user = _existing(host, name), None
    if vm is None:
        disk, user = image_disk(host, image, pool=pool, size=size)
        if not cloud_init.get("ssh_keys") and not cloud_init.get("password"):
            cloud_init = cloud_init | {"ssh_keys": own_keys()}
        vm = _create(
            host,
            name=name,
            vcpus=vcpus,
            memory=memory,
            disks=[disk],
            nics=[{"network": network}],
            tags=set(tags),
            cloud_init=cloud_init,
            start=True,
            metadata=login_user(cloud_init, user),
        )
    elif vm.status != "running":
        vm.resume() if vm.status == "suspended" else vm.start()
    _report(settings, vm, cloud_init.get("user") or user, wait, bool(cloud_init.get("ssh_keys")))


def _existing(host: HostHandle, name: str) -> VMHandle | None:
    from novacron.errors import VMNotFoundError

    try:
        return host.vms[name]
    except VMNotFoundError:
        return None


def _create(host: HostHandle, **fields: Any) -> VMHandle:
    from novacron_shell.progress import follow

    vm: VMHandle = follow(host.vms.create(wait=False, **fields), f"create {fields['name']}")
    return vm


def _report(settings: Settings, vm: VMHandle, user: str | None, wait: str, keys: bool) -> None:
    """Print the VM and how to log in."""
    from novacron.errors import InvalidStateError, OperationTimeoutError, UnsupportedOperationError
    from novacron.units import parse_duration

    addresses: Any = []
    if parse_duration(wait):
        try:
            addresses = vm.wait_for("ip", timeout=wait)
        except (OperationTimeoutError, UnsupportedOperationError, InvalidStateError) as error:
            tell(f"{vm.name} runs, but: {error}")
    if settings.output not in ("table", "wide"):
        show_one(vm.refresh().record, settings.output)
        return
    tell(f"{vm.name} is {vm.status} on {vm.host.name}")
    if addresses:
        tell(f"log in: novacron ssh {vm.name}")
    if not keys:
        tell("no SSH key was given to it: ~/.ssh has none, and --ssh-key and --password-file were not given")


COMMANDS = {"up": up}
