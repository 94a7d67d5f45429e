"""Leases at the disk: how a lab host gets virtlockd, with its leases in a folder that all hosts of the lab share.

virtlockd locks a file of that folder, named by the path of the disk, for each disk that a running VM writes to. So hosts exclude each
other also where the storage of the disk has no locks between them.
"""

from __future__ import annotations

from pathlib import Path

from novacron_lab import requirements
from novacron_lab.running import LabError

SETTINGS = "virtlockd.conf"
"""The file of /etc/libvirt that makes the supervisor of a host start virtlockd."""


def configured(etc: Path) -> bool:
    """Return whether a host with this /etc/libvirt has virtlockd."""
    return (etc / SETTINGS).exists()


def configure(etc: Path, lockspace: Path) -> None:
    """Let a host have virtlockd, and let its libvirtd start no VM without the leases of its disks. It holds from their next start on.

    Args:
        etc: what is /etc/libvirt in the host. It has qemu.conf already.
        lockspace: the folder with the leases, the same for all hosts.

    Raises:
        LabError: virtlockd is not installed.
    """
    if not requirements.installed("virtlockd"):
        raise LabError(
            "leases need virtlockd", hint="install libvirt-daemon-lock and libvirt-daemon-plugin-lockd, or libvirt-daemon"
        )
    lockspace.mkdir(mode=0o700, exist_ok=True)
    (etc / "qemu-lockd.conf").write_text(
        f'auto_disk_leases = 1\nrequire_lease_for_disks = 1\nfile_lockspace_dir = "{lockspace}"\n'
    )
    with (etc / "qemu.conf").open("a") as settings:
        settings.write('lock_manager = "lockd"\n')
    (etc / SETTINGS).write_text("max_clients = 1024\n")


__all__ = ["SETTINGS", "configure", "configured"]
