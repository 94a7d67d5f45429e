"""Diagnosis of libvirt hosts and their VMs."""

from __future__ import annotations

from novacron.plugins import hookimpl
from novacron.records.diagnosis import Finding
from novacron_kvm.connection import KVMConnection
from novacron_kvm.diagnosis.domains import vm_findings
from novacron_kvm.diagnosis.hosts import host_findings
from novacron_kvm.errors import translated


class KVMDiagnosis:
    """Checks a host and its VMs. Nothing is changed."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def host_diagnose(self) -> list[Finding]:
        """Check versions, KVM, the kind of connection, confinement, UEFI firmware, and the permissions of the pools' folders."""
        with translated():
            return list(host_findings(self._connection))

    @hookimpl
    def vm_diagnose(self, vm: str) -> list[Finding]:
        """Check accelerator, confinement, files, space, the agent's channel, and what libvirt itself warns of."""
        with self._connection.dedicated() as native, translated(resource=vm):
            return list(vm_findings(self._connection, native, vm))


__all__ = ["KVMDiagnosis"]
