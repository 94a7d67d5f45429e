"""A real cloud image: Debian with cloud-init, sshd and the guest agent, made by mmdebstrap from Debian's packages.

It takes minutes to build and needs the package mirror, so it is built once and kept in the cache directory. The file's name contains a hash
of the recipe. The image boots by BIOS without GRUB: syslinux on a small FAT partition loads the kernel.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from novacron_lab import scratch
from novacron_lab.running import LabError, run

PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "sfdisk": "fdisk",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
    "syslinux": "syslinux",
    "mke2fs": "e2fsprogs",
    "qemu-img": "qemu-utils",
}
"""Programs that building needs, each with the Debian package that has it."""
SUITE = "bookworm"
PACKAGES = (
    "linux-image-cloud-amd64",
    "systemd-sysv",
    "udev",
    "dbus",
    "cloud-init",
    "cloud-guest-utils",
    "openssh-server",
    "qemu-guest-agent",
    "sudo",
    "iproute2",
    "e2fsprogs",
    "netbase",
)
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
USER = "debian"
"""The image's own user. cloud-init creates it and gives it the SSH keys."""
MBR = Path("/usr/lib/syslinux/mbr/mbr.bin")
SECTOR, FIRST, BOOT_SECTORS, DISK_BYTES = 512, 2048, 131072, 1600 * 2**20
FILES = {
    "etc/cloud/cloud.cfg.d/90_novacron.cfg": f"""\
datasource_list: [NoCloud, VMware, None]
locale: false
ssh_genkeytypes: [ed25519]
system_info: {{default_user: {{name: {USER}, sudo: ["ALL=(ALL) NOPASSWD:ALL"], shell: /bin/bash, lock_passwd: true}}}}
""",
    "etc/fstab": "LABEL=root / ext4 errors=remount-ro 0 1\n",
    "etc/machine-id": "",
}
SYSLINUX = """\
DEFAULT linux
LABEL linux
  KERNEL vmlinuz
  APPEND initrd=initrd root=/dev/vda2 ro console=ttyS0 quiet mitigations=off nokaslr audit=0
"""
REMOVED = ("etc/ssh/ssh_host_*", "etc/apt/apt.conf.d/99mmdebstrap", "etc/resolv.conf", "etc/hostname", "var/lib/apt/lists/*")
"""Files that belong to one machine, or to the build."""


def cloud_image(folder: Path | None = None) -> Path:
    """Return the image, a qcow2 file. It is built if the folder does not have it.

    Args:
        folder: where it is kept; `novacron/lab` in the user's cache directory when None.

    Raises:
        LabError: no root, a missing program, or a step that failed; no incomplete image is left.
    """
    kept = folder or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "novacron" / "lab"
    recipe = repr((SUITE, PACKAGES, LEFT_OUT, FILES, SYSLINUX, REMOVED, DISK_BYTES))
    image = kept / f"debian-{SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.qcow2"
    if image.exists():
        return image
    _check()
    kept.mkdir(parents=True, exist_ok=True)
    work = scratch.make_folder("cloud-image")
    try:
        root = _root(work)
        disk = _disk(work, root)
        part = image.with_suffix(f".{os.getpid()}")
        run("qemu-img", "convert", "-O", "qcow2", "-c", disk, part)
        part.replace(image)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return image


def _check() -> None:
    if os.geteuid() != 0:
        raise LabError("building a cloud image needs root: it installs packages in a folder")
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if missing or not MBR.exists():
        packages = " ".join(missing or ["syslinux-common"])
        raise LabError(f"not installed: {packages}", hint=f"apt-get install --no-install-recommends {packages}")


def _root(work: Path) -> Path:
    """Install the packages in a folder and configure them."""
    root = work / "root"
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    run("mmdebstrap", "--variant=minbase", "--mode=root", f"--include={','.join(PACKAGES)}", *options, SUITE, root, timeout=1800)
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    run("chroot", root, "systemctl", "enable", "systemd-networkd", "ssh")
    for pattern in REMOVED:
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return root


def _disk(work: Path, root: Path) -> Path:
    """Make a raw disk: a FAT partition that syslinux boots from, and an ext4 partition with the system."""
    disk, config = work / "disk.raw", work / "syslinux.cfg"
    kernel, initrd = work / "vmlinuz", work / "initrd"
    shutil.copy(next(root.glob("boot/vmlinuz-*")), kernel)
    shutil.copy(next(root.glob("boot/initrd.img-*")), initrd)
    config.write_text(SYSLINUX)
    system = FIRST + BOOT_SECTORS
    table = f"label: dos\nstart={FIRST}, size={BOOT_SECTORS}, type=c, bootable\nstart={system}, type=83\n"
    with disk.open("wb") as file:
        file.truncate(DISK_BYTES)
    run("sfdisk", "-q", disk, stdin=table.encode())
    with disk.open("r+b") as file:
        file.write(MBR.read_bytes()[:440])
    run("mkfs.vfat", "-F", "16", f"--offset={FIRST}", "-n", "BOOT", disk, str(BOOT_SECTORS // 2))
    run("mcopy", "-i", f"{disk}@@{FIRST * SECTOR}", kernel, initrd, config, "::")
    run("syslinux", "--install", "--offset", str(FIRST * SECTOR), disk)
    blocks = (DISK_BYTES - system * SECTOR) // 1024
    run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-E", f"offset={system * SECTOR}", "-d", root, disk, f"{blocks}k")
    return disk


__all__ = ["USER", "cloud_image"]
