"""Applies the fields of a spec to a host, and returns the resulting records as comparable lines.

There is one probe for each spec that an operation accepts. A probe deletes everything that it created before it returns.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import Any, ClassVar, Self

import pytest

from novacron import specs
from novacron.errors import NotFoundError, NovaCronError, UnsupportedOperationError
from novacron.handles.host import HostHandle
from novacron.records.disks import Disk
from novacron.records.record import Record
from novacron.records.vm import VM
from novacron.testing.target import Target
from novacron.testing.values import ID, MAC, NOWHERE

_VOLATILE = {
    "allocated_bytes",
    "available_bytes",
    "created_at",
    "addresses",
    "total_seconds",
    "downtime_seconds",
    "transferred_bytes",
}
_NOISE = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(Z|[+-]\d\d:\d\d)?"), "TIME"),
    (re.compile(r"\b20\d{14}\b"), "TIME"),
    (re.compile(r"\b(52:54:00|00:50:56|00:0c:29)(:[0-9a-f]{2}){3}\b", re.I), "MAC"),
    (re.compile(r"\b(?!6c0f0a52-)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.I), "UUID"),
    (re.compile(r"(?<![0-9a-f])(?!6c0f0a52)[0-9a-f]{32}(?![0-9a-f])", re.I), "UUID"),
    (re.compile(r"\bsnapshot-\d+\b"), "SNAPSHOT"),
)
"""What differs between two resources of equal specs."""
_TEXT = re.compile(rb"[ -~]{6,}")
"""The text in a medium. What is shorter may be a part of a binary time of a file."""


def lines(value: Any, path: str = "") -> Iterator[str]:
    """Yield the fields of a record, including nested ones, one per line; without those that differ each time."""
    if isinstance(value, Record):
        value = value.as_dict()
    if isinstance(value, Mapping):
        if (
            value.get("allocated_bytes")
            and (value.get("size_bytes") or value.get("capacity_bytes") or 1 << 62) <= value["allocated_bytes"]
        ):
            yield f"{path}: wholly allocated"
        for key, item in value.items():
            if key not in _VOLATILE:
                yield from lines(item, f"{path}.{key}")
    elif isinstance(value, (list, tuple, set, frozenset)):
        for number, item in enumerate(sorted(value) if isinstance(value, (set, frozenset)) else value):
            yield from lines(item, f"{path}.{number}")
    else:
        yield f"{path}={value}"


def quiet(found: Iterator[str]) -> tuple[str, ...]:
    """Return lines without times, and without identifiers that the hypervisor chose."""
    cleaned = []
    for line in found:
        for pattern, word in _NOISE:
            line = pattern.sub(word, line)
        cleaned.append(line.strip())
    return tuple(cleaned)


class Probe:
    """The base of all probes.

    Attributes:
        spec: the spec class that it applies.
        needs: operations without which the test is skipped.
        smallest: the fewest fields for a valid spec.
    """

    spec: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    smallest: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, host: HostHandle, target: Target, prefix: str) -> None:
        self.host, self.target, self.prefix = host, target, prefix
        self._stack = ExitStack()
        self._image: str | None = None
        self._spare: tuple[str, VM] | None = None
        self._stack.callback(self._delete_spare)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def skip_unless_offered(self) -> None:
        """Skip the test if the driver lacks a required operation, or the target a required resource."""
        missing = [name for name in self.needs if not self.host.supports(name)]
        if missing:
            pytest.skip(f"the driver does not offer {', '.join(missing)}")

    def report(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """Apply fields and return the resulting lines.

        Raises:
            NovaCronError: the driver rejects the fields.
        """
        with ExitStack() as undo:
            return quiet(self.applied(self._filled(dict(fields)), undo))

    def applied(self, fields: dict[str, Any], undo: ExitStack) -> Iterator[str]:
        """Apply fields and yield lines. `undo` deletes what was created."""
        raise NotImplementedError

    # what several probes use

    def vm(self, undo: ExitStack, **fields: Any) -> VM:
        """Create a VM. If the attempt before was refused, its VM is used again, as long as it is as it was created."""
        small = self.target.new_vm(f"{self.prefix}-probe").as_dict()
        spec = specs.VMSpec.parse({**small, "id": ID, **fields})
        key, made = repr(fields), self._unchanged_spare(repr(fields))

        def leave(kind: object, error: object, trace: object) -> None:
            if made is not None and isinstance(error, NovaCronError):
                self._spare = (key, made)
            else:
                self._delete_vm(str(spec.id))

        undo.push(leave)
        if made is None:
            made = self.host.invoke("vm_create", spec=spec)
        return made

    def _unchanged_spare(self, key: str) -> VM | None:
        """Return the VM that the last attempt left; None, and no VM is left, if it was created with other fields or has changed."""
        if self._spare is not None and self._spare[0] == key:
            made, self._spare = self._spare[1], None
            with suppress(NotFoundError):
                if quiet(lines(self.host.invoke("vm_get", vm=made.id))) == quiet(lines(made)):
                    return made
            self._delete_vm(made.id)
        self._delete_spare()
        return None

    def _delete_spare(self) -> None:
        if self._spare is not None:
            self._delete_vm(self._spare[1].id)
            self._spare = None

    def vm_lines(self, vm: str) -> Iterator[str]:
        """Yield a VM's record, its definition, and the content of small media such as a cloud-init seed."""
        record: VM = self.host.invoke("vm_get", vm=vm)
        yield from lines(record)
        if self.host.supports("vm_export"):
            yield from self.host.invoke("vm_export", vm=vm).text.splitlines()
        if self.target.native_lines:
            yield from self.target.native_lines(record.id)
        for disk in record.disks or ():
            volume = self._volume(disk) if disk.device == "cdrom" else None
            if volume and self.host.supports("volume_download"):
                content = io.BytesIO()
                with suppress(UnsupportedOperationError, NotFoundError):
                    self.host.invoke("volume_download", pool=volume[0], volume=volume[1], target=content)
                    yield from (found.decode("ascii") for found in _TEXT.findall(content.getvalue()[: 2**20]))

    def _volume(self, disk: Disk) -> tuple[str, str] | None:
        """Return the storage pool and the volume of a disk: from its record, or from the path of its file; None if no pool has it."""
        if disk.pool and disk.volume:
            return disk.pool, disk.volume
        if disk.source is None or not self.host.supports("volume_list"):
            return None
        volumes = self.host.invoke("volume_list", pool=self.target.pool)
        return next(((each.pool, each.name) for each in volumes if each.path == disk.source), None)

    def _delete_vm_later(self, undo: ExitStack, vm: str) -> None:
        undo.callback(self._delete_vm, vm)

    def _delete_vm(self, vm: str) -> None:
        with suppress(NotFoundError):
            self.host.invoke("vm_delete", vm=vm, keep_disks=False, force=True)

    def _quietly(self, undo: ExitStack, operation: str, **arguments: Any) -> None:
        def call() -> None:
            with suppress(NovaCronError):
                self.host.invoke(operation, **arguments)

        undo.callback(call)

    def _filled(self, value: Any) -> Any:
        """Replace the names in braces by the target's values."""
        if isinstance(value, dict):
            return {self._filled(key): self._filled(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._filled(item) for item in value]
        if not isinstance(value, str) or "{" not in value:
            return value
        if value == "{image}":
            return self.image()
        disk = "vda" if "{disk}" in value else ""
        named = {"name": f"{self.prefix}-made", "pool": self.target.pool, "network": self.target.network or NOWHERE}
        for name, known in (*named.items(), ("disk", disk), ("bridge", "conform0"), ("format", self.target.volume_format)):
            value = value.replace(f"{{{name}}}", known)
        return value

    def image(self) -> str:
        """Return the path of a small volume, which is created at the first call."""
        if self._image is None:
            spec = specs.VolumeSpec(name=f"{self.prefix}-image", capacity=2**21, format=self.target.volume_format)
            self._image = self.host.invoke("volume_create", pool=self.target.pool, spec=spec).path
            self._quietly(self._stack, "volume_delete", pool=self.target.pool, volume=spec.name)
        return self._image


class VMProbe(Probe):
    """Creates VMs."""

    spec, needs = "VMSpec", ("vm_create",)

    def applied(self, fields: dict[str, Any], undo: ExitStack) -> Iterator[str]:
        """Create a VM, and start it if the fields say so."""
        yield from self.vm_lines(self.vm(undo, **fields).id)


class UpdateProbe(Probe):
    """Updates VMs."""

    spec, needs = "VMUpdate", ("vm_update",)

    def applied(self, fields: dict[str, Any], undo: ExitStack) -> Iterator[str]:
        """Update a stopped VM."""
        vm = self.vm(undo).id
        if fields:
            self.host.invoke("vm_update", vm=vm, changes=specs.VMUpdate.parse(fields))
        yield from self.vm_lines(vm)


class DiskProbe(Probe):
    """Attaches disks."""

    spec, needs, smallest = "DiskSpec", ("disk_attach",), {"size": "16MiB"}

    def applied(self, fields: dict[str, Any], undo: ExitStack) -> Iterator[str]:
        """Attach one to a stopped VM."""
        vm = self.vm(undo).id
        bus = {"bus": self.target.disk.bus} if self.target.disk and self.target.disk.bus and "target" not in fields else {}
        self.host.invoke("disk_attach", vm=vm, spec=specs.DiskSpec.parse({"pool": self.target.pool, **bus, **fields}))
        yield from self.vm_lines(vm)


class NICProbe(Probe):
    """Attaches NICs."""

    spec, needs, smallest = "NICSpec", ("nic_attach",), {"network": "{network}", "mac": MAC}

    def skip_unless_offered(self) -> None:
        """Skip also without a network."""
        super().skip_unless_offered()
        if self.target.network is None:
            pytest.skip("the target names no network")

    def applied(self, fields: dict[str, Any], undo: ExitStack) -> Iterator[str]:
        """Attach one to a stopped VM."""
        vm = self.vm(undo).id
        self.host.invoke("nic_attach", vm=vm, spec=specs.NICSpec.parse(fields))
        yield from self.vm_lines(vm)


class _WithDevices(Probe):
    """A stopped VM with a disk and a NIC."""

    def equipped(self, undo: ExitStack) -> tuple[str, str]:
        """Return the VM's id and its disk's target."""
        disk = self.target.disk or specs.DiskSpec(size=2**24, pool=self.target.pool)
        nics = [{"network": self.target.network, "mac": MAC}] if self.target.network else []
        vm = self.vm(undo, disks=[disk], nics=nics)
        return vm.id, next(each.target for each in vm.disks or ())


class NICUpdateProbe(_WithDevices):
    """Updates NICs."""

    spec, needs = "NICUpdate", ("nic_update",)

    def skip_unless_offered(self) -> None:
        """Skip also without a network."""
        super().skip_unless_offered()
        if self.target.network is None:
            pytest.skip("the target names no network")

    def applied(self, fields: dict[str, Any], undo: ExitStack) -> Iterator[str]:
        """Update the NIC of a stopped VM."""
        vm, _ = self.equipped(undo)
        if fields:
            self.host.invoke("nic_update", vm=vm, nic=MAC, spec=specs.NICUpdate.parse(fields))
        yield from self.vm_lines(vm)


class DiskLimitsProbe(_WithDevices):
    """Limits disks."""

    spec, needs = "DiskLimits", ("disk_limit",)

    def applied(self, fields: dict[str, Any], undo: ExitStack) -> Iterator[str]:
        """Limit the disk of a stopped VM."""
        vm, disk = self.equipped(undo)
        if fields:
            self.host.invoke("disk_limit", vm=vm, disk=disk, limits=specs.DiskLimits.parse(fields))
        yield from self.vm_lines(vm)
        if self.host.supports("resources_get"):
            yield from lines(self.host.invoke("resources_get", vm=vm))


class LimitsProbe(_WithDevices):
    """Limits VMs."""

    spec, needs = "LimitsSpec", ("limits_set", "resources_get")

    def applied(self, fields: dict[str, Any], undo: ExitStack) -> Iterator[str]:
        """Limit a stopped VM from its next start on."""
        vm, disk = self.equipped(undo)
        if "disks" in fields:
            fields["disks"] = dict.fromkeys([disk], next(iter(fields["disks"].values())))
        if fields:
            self.host.invoke("limits_set", vm=vm, limits=specs.LimitsSpec.parse(fields), live=False, persistent=True)
        yield from self.vm_lines(vm)
        yield from lines(self.host.invoke("resources_get", vm=vm))


class VolumeProbe(Probe):
    """Creates volumes."""

    spec, needs, smallest = "VolumeSpec", ("volume_create", "volume_delete"), {"capacity": "2MiB"}

    def applied(self, fields: dict[str, Any], undo: ExitStack) -> Iterator[str]:
        """Create one."""
        spec = specs.VolumeSpec.parse({"name": f"{self.prefix}-made", **fields})
        made = self.host.invoke("volume_create", pool=self.target.pool, spec=spec)
        self._quietly(undo, "volume_delete", pool=self.target.pool, volume=made.name)
        yield from lines(made)


class PoolProbe(Probe):
    """Creates storage pools."""

    spec, needs, smallest = "StoragePoolSpec", ("pool_create", "pool_delete"), {"path": "/tmp/{name}"}  # noqa: S108 - a path of the suite itself

    def applied(self, fields: dict[str, Any], undo: ExitStack) -> Iterator[str]:
        """Create a pool, by default of the type "dir"."""
        name = f"{self.prefix}-made"
        usual = {} if fields.get("type", "dir") != "dir" else {"path": f"/tmp/{name}"}  # noqa: S108 - a path of the suite itself
        spec = specs.StoragePoolSpec.parse({"name": name, **usual, **fields})
        made = self.host.invoke("pool_create", spec=spec)
        self._quietly(undo, "pool_delete", pool=made.name)
        if self.host.supports("pool_stop"):
            self._quietly(undo, "pool_stop", pool=made.name)
        yield from lines(made)


class NetworkProbe(Probe):
    """Creates networks."""

    spec, needs, smallest = "NetworkSpec", ("network_create", "network_delete"), {"type": "isolated"}

    def applied(self, fields: dict[str, Any], undo: ExitStack) -> Iterator[str]:
        """Create one."""
        made = self.host.invoke("network_create", spec=specs.NetworkSpec.parse({"name": f"{self.prefix[-8:]}-made", **fields}))
        self._quietly(undo, "network_delete", network=made.name)
        yield from lines(made)


class FilterProbe(Probe):
    """Creates traffic filters."""

    spec, needs = "TrafficFilterSpec", ("filter_create", "filter_delete")

    def applied(self, fields: dict[str, Any], undo: ExitStack) -> Iterator[str]:
        """Create one."""
        made = self.host.invoke("filter_create", spec=specs.TrafficFilterSpec.parse({"name": f"{self.prefix}-made", **fields}))
        self._quietly(undo, "filter_delete", filter=made.name)
        yield from lines(made)


class SnapshotProbe(_WithDevices):
    """Takes snapshots."""

    spec, needs, smallest = "SnapshotSpec", ("snapshot_create",), {"name": "conform-a"}

    def applied(self, fields: dict[str, Any], undo: ExitStack) -> Iterator[str]:
        """Take one of a stopped VM with a disk."""
        vm, _ = self.equipped(undo)
        yield from lines(
            self.host.invoke("snapshot_create", vm=vm, spec=specs.SnapshotSpec.parse({"name": "conform-a", **fields}))
        )


class TemplateProbe(_WithDevices):
    """Makes templates."""

    spec, needs = "TemplateSpec", ("template_create", "template_delete")

    def applied(self, fields: dict[str, Any], undo: ExitStack) -> Iterator[str]:
        """Make one of a stopped VM with a disk."""
        vm, _ = self.equipped(undo)
        made = self.host.invoke(
            "template_create", vm=vm, spec=specs.TemplateSpec.parse({"name": f"{self.prefix}-made", **fields})
        )
        self._quietly(undo, "template_delete", template=made.name, version=None)
        yield from lines(made)


class MigrationProbe(Probe):
    """Migrates VMs."""

    spec, needs = "MigrationSpec", ("vm_migrate",)

    def skip_unless_offered(self) -> None:
        """Skip also without a second host."""
        super().skip_unless_offered()
        if self.target.other is None:
            pytest.skip("the target has no other host")

    def applied(self, fields: dict[str, Any], undo: ExitStack) -> Iterator[str]:
        """Migrate a VM, which runs if the target's guests boot. The hypervisor's statistics differ each time and are omitted."""
        other = self.target.other
        assert other is not None
        self._quietly(undo, "vm_get", vm=ID)
        undo.callback(lambda: [vm.delete(force=True) for vm in other.vms.list() if vm.id == ID])
        vm = self.vm(undo, start=self.target.can_boot)
        spec = specs.MigrationSpec.parse(fields)
        report = self.host.invoke("vm_migrate", vm=vm.id, to=other.destination(), spec=spec)
        yield from lines({name: value for name, value in report.as_dict().items() if name != "native"})


class ApplianceProbe(_WithDevices):
    """Imports appliances."""

    spec, needs = "ApplianceSpec", ("appliance_export", "appliance_import")

    def applied(self, fields: dict[str, Any], undo: ExitStack) -> Iterator[str]:
        """Export a VM with a disk and import it under another name."""
        file = io.BytesIO()
        self.host.invoke("appliance_export", vm=self.equipped(undo)[0], target=file)
        spec = specs.ApplianceSpec.parse({"name": f"{self.prefix}-made", "pool": self.target.pool, **fields})
        made = self.host.invoke("appliance_import", source=io.BytesIO(file.getvalue()), spec=spec)
        self._delete_vm_later(undo, made.id)
        record = self.host.invoke("vm_get", vm=made.id).as_dict()
        record["node"] = None  # no field names it, so the hypervisor chooses
        yield from lines(record)


_PROBES: tuple[type[Probe], ...] = (
    VMProbe,
    UpdateProbe,
    DiskProbe,
    NICProbe,
    NICUpdateProbe,
    DiskLimitsProbe,
    LimitsProbe,
    VolumeProbe,
    PoolProbe,
    NetworkProbe,
    FilterProbe,
    SnapshotProbe,
    TemplateProbe,
    MigrationProbe,
    ApplianceProbe,
)
PROBES = {probe.spec: probe for probe in _PROBES}
"""The probe of each spec that an operation takes."""

__all__ = ["PROBES", "Probe", "lines", "quiet"]
