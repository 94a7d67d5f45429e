"""What the lab needs from the machine, and where to get it."""

from __future__ import annotations

import os
import shutil

from novacron_lab.running import LabError

PROGRAMS = {
    "libvirtd": "libvirt-daemon-system",
    "virsh": "libvirt-clients",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "swtpm": "swtpm",
    "swtpm_setup": "swtpm-tools",
    "openssl": "openssl",
    "ip": "iproute2",
    "iptables": "iptables",
    "busybox": "busybox-static",
    "depmod": "kmod",
    "cpio": "cpio",
    "lz4": "lz4",
    "zstd": "zstd",
    "xz": "xz-utils",
    "dnsmasq": "dnsmasq-base",
    "unshare": "util-linux",
}
"""Programs, each with the Debian package that has it."""


def missing() -> list[str]:
    """Return the Debian packages of the programs that are not there, sorted."""
    return sorted({package for program, package in PROGRAMS.items() if not installed(program)})


def installed(program: str) -> bool:
    """Return whether there is a program of this name, also where only root's programs are."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is not None


def check() -> None:
    """Raise LabError, with what to do, when the lab can't work here."""
    if os.geteuid() != 0:
        raise LabError(
            "the lab needs root: it makes network namespaces and starts libvirtd in them",
            hint="run it as root; without, `novacron -c sim://lab` and libvirt's embedded QEMU driver (`novacron.connect()`) work",
        )
    packages = missing()
    if packages:
        raise LabError(
            f"not installed: {', '.join(packages)}", hint=f"apt-get install --no-install-recommends {' '.join(packages)}"
        )


__all__ = ["PROGRAMS", "check", "installed", "missing"]
