"""Taking out of a disk what no two VMs may share, with libguestfs' virt-sysprep."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

from novacron.errors import StorageError, UnsupportedOperationError
from novacron.jobs import Job

PROGRAM = "virt-sysprep"
OPERATIONS = "machine-id,ssh-hostkeys,dhcp-client-state,dhcp-server-state,udev-persistent-net,random-seed,lvm-system-devices"


def refuse_unsealable(uri: str) -> None:
    """Refuse to seal where it can't be done: the program works on files of the machine that it runs on.

    Raises:
        UnsupportedOperationError: it is not installed, or the host is another machine.
    """
    if not uri.startswith(("qemu:///", "qemu+unix:///")):
        raise UnsupportedOperationError(
            "disks of another machine can't be sealed from here",
            hint="run it on that machine, or give seal=False (--no-seal) for a VM that is sealed",
        )
    if shutil.which(PROGRAM) is None:
        raise UnsupportedOperationError(
            f"{PROGRAM} is not installed",
            hint="install guestfs-tools (libguestfs-tools), or give seal=False (--no-seal) for a VM that is sealed",
        )


def seal(path: str, format_: str, job: Job[Any]) -> None:
    """Remove machine id, SSH host keys, leases and the like from a disk. Raises StorageError with the program's own words."""
    program = shutil.which(PROGRAM) or PROGRAM
    job.report("sealing")
    done = subprocess.Popen(
        [program, "--format", format_, "--operations", OPERATIONS, "-a", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    job.on_cancel(done.terminate)
    output, _ = done.communicate()
    job.raise_if_cancelled()
    if done.returncode:
        raise StorageError(
            f"{PROGRAM} failed: {output.strip()[-400:]}", hint="give seal=False (--no-seal) for a VM that is sealed already"
        )


__all__ = ["refuse_unsealable", "seal"]
