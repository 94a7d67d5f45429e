"""The appliance operations for any driver with volumes. NovaCron packs and unpacks the disks on its own machine."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from novacron.appliances import vmdk
from novacron.appliances.temporary import new_name
from novacron.errors import InvalidSpecError, InvalidStateError, NovaCronError, SpecProblem
from novacron.jobs import Job
from novacron.plugins.driver import hookimpl
from novacron.records.appliances import Appliance
from novacron.records.disks import Disk
from novacron.records.vm import VM
from novacron.spare_files import SpareFile

if TYPE_CHECKING:  # lxml is loaded when an appliance is written or read, not with a driver
    from novacron.appliances.ovf import ApplianceDisk, Description
    from novacron.specs import ApplianceSpec, VMSpec


class Appliances:
    """Exports and imports appliances with the driver's operations on volumes and VMs. A driver adds it to its areas.

    Disks pass through temporary files on this machine (TMPDIR), which need as much space as the disks' content. Holes stay holes.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._parts: tuple[object, ...] = ()

    def connect_areas(self, parts: Sequence[object]) -> None:
        """Store the driver's other areas, whose operations are used."""
        self._parts = tuple(parts)

    @hookimpl
    def appliance_export(self, vm: str, target: BinaryIO, job: Job[Appliance]) -> Appliance:
        """Copy each disk into a raw volume, download it, and write it as a VMDK."""
        from novacron.appliances.archive import write

        record: VM = self._do("vm_get", vm=vm)
        if record.status not in ("stopped", "crashed"):
            raise InvalidStateError(
                f"can't export {record.name!r}: it is {record.status}", resource=record.name, hint="stop it first"
            )
        disks = [disk for disk in record.disks or () if disk.device == "disk"]
        places = [self._place(disk, record.name) for disk in disks]
        with tempfile.TemporaryDirectory(prefix="novacron-") as folder:
            made = list[tuple[Path, int]]()
            for number, (pool, volume) in enumerate(places):
                part = (number / (len(disks) + 1), (number + 1) / (len(disks) + 1))
                made.append(self._fetched(pool, volume, Path(folder), f"{record.name}-disk{number}.vmdk", job, part))
            description = described(record, [(file.name, size, file.stat().st_size) for file, size in made])
            job.report("writing the appliance", len(disks) / (len(disks) + 1))
            job.raise_if_cancelled()
            write(target, description, [file for file, _ in made])
            return Appliance(
                name=record.name,
                host=record.host,
                disks=tuple(size for _, size in made),
                size_bytes=sum(file.stat().st_size for file, _ in made),
            )

    @hookimpl
    def appliance_import(self, source: BinaryIO, spec: ApplianceSpec, job: Job[VM]) -> VM:
        """Unpack each disk, upload it to a raw volume, and create a VM with copies of these volumes."""
        from novacron.appliances.archive import Archive

        archive = Archive(source)
        wanted = planned(archive.description, spec)
        with ExitStack() as undo:
            images = dict[str, str]()
            described_disks = archive.description.disks
            for number, (disk, content, _) in enumerate(archive.disks()):
                part = (0.7 * number / len(described_disks), 0.7 * (number + 1) / len(described_disks))
                images[str(disk.file)] = self._sent(disk, content, spec.pool, wanted.name, job, part, undo)
            job.report("creating the VM", 0.7)
            job.raise_if_cancelled()
            created: VM = self._do("vm_create", spec=with_disks(wanted, described_disks, images, spec.pool), job=Job("vm_create"))
            return created

    def _place(self, disk: Disk, vm: str) -> tuple[str, str]:
        """Return the pool and volume of a disk, by its record or else by its path. Raises InvalidStateError."""
        if disk.pool and disk.volume:
            return disk.pool, disk.volume
        for pool in self._do("pool_list"):
            for volume in self._do("volume_list", pool=pool.name) if pool.active else ():
                if volume.path == disk.source:
                    return pool.name, volume.name
        raise InvalidStateError(
            f"can't export {vm!r}: its disk {disk.target} ({disk.source}) is in no storage pool",
            resource=vm,
            hint="make a storage pool of the folder that it is in",
        )

    def _fetched(
        self, pool: str, volume: str, folder: Path, name: str, job: Job[Any], part: tuple[float, float]
    ) -> tuple[Path, int]:
        """Return a disk as a VMDK file, and the disk's size in bytes."""
        with self._raw(pool, volume, job, part) as (raw, capacity), SpareFile(folder / f"{name}.raw") as plain:
            job.report(f"fetching {volume}", part[0])
            job.raise_if_cancelled()
            self._do("volume_download", pool=pool, volume=raw, target=plain, job=Job("volume_download"))
            plain.seek(0)
            with SpareFile(folder / name) as packed:
                vmdk.encode(plain, packed, capacity, _reporter(job, f"packing {volume}", part, capacity))
        (folder / f"{name}.raw").unlink()
        return folder / name, capacity

    @contextmanager
    def _raw(self, pool: str, volume: str, job: Job[Any], part: tuple[float, float]) -> Iterator[tuple[str, int]]:
        """Provide the name and size of a raw volume with a volume's content. A volume created for this is deleted afterwards."""
        found = self._do("volume_get", pool=pool, volume=volume)
        if found.format == "raw" and not found.backing:
            yield volume, found.capacity_bytes
            return
        name = new_name("export")
        job.report(f"copying {volume}", part[0])
        job.raise_if_cancelled()
        copy = self._do("volume_convert", pool=pool, volume=volume, name=name, format="raw", job=Job("volume_convert"))
        try:
            yield name, copy.capacity_bytes
        finally:
            self._do("volume_delete", pool=pool, volume=name)

    def _sent(
        self,
        disk: ApplianceDisk,
        content: BinaryIO,
        pool: str,
        vm: str,
        job: Job[Any],
        part: tuple[float, float],
        undo: ExitStack,
    ) -> str:
        """Return the name of a new raw volume with a disk's content; `undo` deletes it."""
        from novacron.specs import VolumeSpec

        name = new_name("import")
        with tempfile.TemporaryFile(prefix="novacron-") as plain:
            capacity = vmdk.decode(content, plain, _reporter(job, f"unpacking {disk.file}", part, disk.capacity), disk.capacity)
            job.raise_if_cancelled()
            _refuse_image(plain, disk)
            spec = VolumeSpec(name=name, capacity=max(capacity, disk.capacity), format="raw")
            self._do("volume_create", pool=pool, spec=spec, job=Job("volume_create"))
            undo.callback(self._forget, pool, name)
            plain.seek(0)
            job.report(f"sending {disk.file}", part[1])
            self._do("volume_upload", pool=pool, volume=name, source=plain, job=Job("volume_upload"))
        return name

    def _forget(self, pool: str, volume: str) -> None:
        with suppress(NovaCronError):
            self._do("volume_delete", pool=pool, volume=volume)

    def _do(self, operation: str, **arguments: Any) -> Any:
        """Call an operation of another area. Its errors name it."""
        for part in self._parts:
            found: Callable[..., Any] | None = getattr(part, operation, None)
            if found is not None:
                try:
                    return found(**arguments)
                except NovaCronError as error:
                    error.operation = error.operation or operation
                    raise
        raise NotImplementedError(operation)


def _refuse_image(content: BinaryIO, disk: ApplianceDisk) -> None:
    """Refuse a disk whose content has the header of an image: a hypervisor that guesses formats would follow it to other files."""
    from novacron.image_headers import EXAMINED, image_format

    content.seek(0)
    if found := image_format(content.read(EXAMINED)):
        problem = SpecProblem(f"the content of {disk.file}", f"an image of the format {found}", "the sectors of a disk")
        raise InvalidSpecError("that appliance can't be read", problems=[problem])


def described(record: VM, disks: Sequence[tuple[str, int, int]]) -> Description:
    """Return the description of a VM with these disks: file, capacity and file size."""
    from novacron.appliances.ovf import ApplianceDisk, ApplianceNIC, Description

    return Description(
        name=record.name,
        vcpus=record.vcpus,
        memory=record.memory_bytes,
        description=record.description or "",
        firmware="bios" if record.firmware in (None, "bios") else "uefi",
        disks=tuple(ApplianceDisk(file=file, capacity=capacity, size=size) for file, capacity, size in disks),
        nics=tuple(ApplianceNIC(network=nic.network or "network", model=nic.model or "virtio") for nic in record.nics or ()),
    )


def planned(description: Description, spec: ApplianceSpec) -> VMSpec:
    """Return the spec of an appliance's VM without its disks.

    Raises:
        InvalidSpecError: the name (unless another is given), CPUs, memory or networks of the description are invalid.
    """
    from novacron.specs import VMSpec

    name = spec.name or re.sub(r"[^A-Za-z0-9_.+-]+", "-", description.name).strip("-.") or "appliance"
    unknown = sorted(set(spec.networks) - {nic.network for nic in description.nics})
    if unknown:
        there = ", ".join(sorted({nic.network for nic in description.nics})) or "none"
        raise InvalidSpecError(
            "the appliance names no such network", problems=[SpecProblem("networks", unknown[0], f"one of: {there}")]
        )
    given: dict[str, Any] = {
        "name": name,
        "vcpus": description.vcpus,
        "memory": description.memory,
        "description": description.description,
        "firmware": description.firmware,
        "tags": spec.tags,
        "metadata": spec.metadata,
        "start": spec.start,
        "nics": [{"network": spec.networks.get(nic.network, nic.network), "model": nic.model} for nic in description.nics],
    }
    return VMSpec.parse(given)


def with_disks(wanted: VMSpec, disks: Sequence[ApplianceDisk], images: dict[str, str], pool: str) -> VMSpec:
    """Return a spec with the appliance's disks: copies of the uploaded volumes, and blank disks."""
    from novacron.specs import DiskSpec

    made = [
        DiskSpec(source=f"{pool}/{images[disk.file]}", copy_mode="full", pool=pool)
        if disk.file
        else DiskSpec(size=disk.capacity, pool=pool)
        for disk in disks
    ]
    return wanted.model_copy(update={"disks": tuple(made)})


def _reporter(job: Job[Any], what: str, part: tuple[float, float], total: int) -> Callable[[int], None]:
    """Return a function that reports a disk's progress as part of the job's, and raises if the job was cancelled."""
    begin, end = part

    def report(done: int) -> None:
        job.raise_if_cancelled()
        job.report(what, begin + (end - begin) * (done / total if total else 1.0), transferred_bytes=done, total_bytes=total)

    return report


__all__ = ["Appliances", "described", "planned", "with_disks"]
