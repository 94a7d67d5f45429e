"""Reads what a VM needs of its host beside its disks, from domain XML: files, folders, the state of devices, and secrets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from novacron.records.vm import HostFile
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import text_of
from novacron_kvm.xml.reading import disk as disk_record
from novacron_kvm.xml.sources import boot_file


def host_files(root: Any) -> tuple[HostFile, ...]:
    """Return the files, folders and device states of the host that a VM uses."""
    return tuple(_host_files(root))


def disk_secrets(root: Any) -> dict[str, str | None]:
    """Return the name of the secret of each encrypted disk, by target. It is None if another tool has encrypted the disk."""
    known = VMFacts.read(root).secrets
    disks = [disk_record(element) for element in root.iterfind("devices/disk")]
    return {disk.target: known.get(disk.source or "") for disk in disks if disk.encrypted}


def _host_files(root: Any) -> Iterator[HostFile]:
    for use, where in (("kernel", "os/kernel"), ("initial RAM disk", "os/initrd")):
        if path := text_of(root, where):
            yield HostFile(use=use, path=path)
    flash = text_of(root, "os/@firmware") == "efi" or text_of(root, "os/loader/@type") == "pflash"
    if flash and text_of(root, "os/loader/@stateless") != "yes":
        yield HostFile(use="NVRAM", path=boot_file(root, "os/nvram"))
    for tpm in root.iterfind("devices/tpm"):
        yield HostFile(use="TPM", path=text_of(tpm, "backend/source/@path") or text_of(tpm, "backend/device/@path"))
    for folder in root.iterfind("devices/filesystem"):
        paths = (text_of(folder, f"source/@{attribute}") for attribute in ("dir", "file", "dev", "socket"))
        yield HostFile(use="shared folder", path=next(filter(None, paths), None))


__all__ = ["disk_secrets", "host_files"]
