"""The host itself."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence

import libvirt

from novacron.errors import UnsupportedOperationError
from novacron.plugins import hookimpl
from novacron.records.host import Capabilities, CPUBaseline, Host, HostStats, Node, Ping
from novacron_kvm.capabilities import best_virt_type, guests
from novacron_kvm.connection import KVMConnection
from novacron_kvm.domain_capabilities import DomainCapabilities, cpu_of
from novacron_kvm.errors import translated
from novacron_kvm.storage.file_locks import lock_manager
from novacron_kvm.versions import too_old, version_text
from novacron_kvm.xml.configuration import features_of
from novacron_kvm.xml.parsing import parse, serialise, text_of


class KVMHost:
    """Describes the host."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def host_info(self) -> Host:
        """Describe it."""
        read = self._connection.read
        with translated():
            info = read.getInfo()
            return Host(
                name=self._connection.name,
                uri=self._connection.uri,
                driver="kvm",
                hypervisor=read.getType(),
                version=version_text(read.getVersion()),
                hostname=read.getHostname(),
                arch=info[0],
                cpus=info[2],
                memory_bytes=info[1] * 2**20,
                native={"libvirt": version_text(self._connection.libvirt_version)},
            )

    @hookimpl
    def host_stats(self) -> HostStats:
        """Tell what it has and uses."""
        read = self._connection.read
        with translated():
            info = read.getInfo()
            try:
                free: int | None = read.getFreeMemory()
            except libvirt.libvirtError:
                free = None  # the test driver has no such figure
            running = read.numOfDomains()
            return HostStats(
                host=self._connection.name,
                cpus=info[2],
                memory_bytes=info[1] * 2**20,
                memory_free_bytes=free,
                vms_running=running,
                vms_total=running + read.numOfDefinedDomains(),
            )

    @hookimpl
    def host_ping(self) -> Ping:
        """Make one round trip."""
        began = time.perf_counter()
        with translated():
            version = self._connection.read.getLibVersion()
        return Ping(host=self._connection.name, latency_seconds=time.perf_counter() - began, version=version_text(version))

    @hookimpl
    def node_list(self) -> list[Node]:
        """A libvirt host has one node: itself."""
        with translated():
            info, identity = self._connection.read.getInfo(), self._connection.identity or None
        return [
            Node(name=self._connection.node, host=self._connection.name, cpus=info[2], memory_bytes=info[1] * 2**20, id=identity)
        ]

    @hookimpl
    def host_cpu_baseline(self, others: Sequence[str]) -> CPUBaseline:
        """Let libvirt compute it from the CPUs that QEMU can give to VMs on each host."""
        read = self._connection.read
        arch = self._arch()
        virt_type, _ = best_virt_type(self._connection, arch)
        with translated():
            capabilities = DomainCapabilities.of(read, arch, None, virt_type)
            own, models = serialise(capabilities.host_cpu(self._connection.name)), capabilities.cpu_models()
            cpus = [own, *(cpu_of(given, f"others[{number}]", models) for number, given in enumerate(others))]
            found = parse(self._baseline(arch, virt_type, cpus))
        return CPUBaseline(
            model=text_of(found, "model") or "",
            features=tuple(features_of(found)),
            vendor=text_of(found, "vendor"),
            nodes=(self._connection.node,),
            description="".join(line.strip() for line in serialise(found).splitlines()),  # arguments have no line breaks
        )

    @hookimpl
    def host_lock_manager(self) -> str:
        """Try to give a helper domain a lease that does not exist."""
        return lock_manager(self._connection)

    def _baseline(self, arch: str, virt_type: str, cpus: list[str]) -> str:
        try:
            return str(self._connection.read.baselineHypervisorCPU(None, arch, None, virt_type, cpus, MIGRATABLE))
        except libvirt.libvirtError as error:
            if (error.get_error_domain(), error.get_error_code()) != (libvirt.VIR_FROM_CPU, libvirt.VIR_ERR_OPERATION_FAILED):
                raise
            raise UnsupportedOperationError(
                f"the hosts have no CPU in common: {error.get_str2() or error}",
                host=self._connection.name,
                hint="VMs can't migrate while they run between CPUs of different vendors; use a group for each vendor",
            ) from error

    def _arch(self) -> str:
        """Return the architecture of the host, or one that it can emulate."""
        with translated():
            known = guests(self._connection.read)
            arch = self._connection.read.getInfo()[0] if self._connection.shared else platform.machine()
        return arch if arch in known else next(iter(known), arch)

    @hookimpl
    def host_capabilities(self) -> Capabilities:
        """Tell what it can run, with a real probe of KVM, and what this libvirt's version can't do."""
        with translated():
            known = guests(self._connection.read)
        arch = self._arch()
        virt_type, reason = best_virt_type(self._connection, arch)
        version = self._connection.libvirt_version
        return Capabilities(
            host=self._connection.name,
            driver="kvm",
            operations=(),
            virt_type=virt_type,
            virt_type_reason=reason,
            virt_types=tuple(sorted({t for a in known.values() for t in a["virt_types"]})),
            architectures=tuple(sorted(known)),
            machines={a: k["machines"] for a, k in known.items()},
            firmwares=("bios", "uefi", "uefi-secure"),
            limits=limits(version) | too_old(version) | (TEST_DRIVER if self._connection.uri.startswith("test:") else {}),
        )


MIGRATABLE = libvirt.VIR_CONNECT_BASELINE_CPU_MIGRATABLE
"""Leaves out features that keep a VM from migrating."""

TEST_DRIVER = dict.fromkeys(
    (
        "host_cpu_baseline",
        "host_lock_manager",
        "disk_attach",
        "disk_detach",
        "disk_resize",
        "disk_limit",
        "disk_change_media",
        "nic_attach",
        "nic_detach",
        "nic_update",
        "nic_link_set",
        "device_attach",
        "device_detach",
        "filter_list",
        "filter_get",
        "filter_create",
        "filter_update",
        "filter_delete",
        "network_update",
        "volume_upload",
        "volume_download",
        "volume_wipe",
        "volume_resize",
        "template_create",
        "template_deploy",
        "template_update",
    ),
    "libvirt's test driver has no such call",
)
"""What `test:///` can't do."""


def limits(libvirt_version: int) -> dict[str, str]:
    """Return what a libvirt version can't do, operation by operation, and why."""
    uefi = "" if libvirt_version >= 10_009_000 else "; before libvirt 10.9 a UEFI VM gets external ones"
    return {
        "host_cpu_baseline": "where QEMU offers the CPU mode host-model, as on x86-64 and s390x",
        "snapshot_create": "internal or external, not both in one VM; the disks of an external one are files in an active storage pool"
        + uefi,
        "memory_set": "more than a running VM was started with only with max_memory, in modules of whole 128 MiB",
        "device_attach": "PCI devices need an IOMMU",
        "network_create": "VLANs on bridges of Open vSwitch's only",
        "limits_set": "no guarantees; live ones of CPU, memory and the host's devices need libvirtd's control groups, those of NICs the"
        " queueing disciplines htb and sfq",
    }


__all__ = ["KVMHost", "limits"]
