"""Diagnosis: what of a host or VM has to be repaired.

A driver reports what it alone can see. Pools, networks, memory, guest agents and addresses are checked by `host.diagnose()` and
`vm.diagnose()` for every driver, with the other operations of the contract.
"""

from __future__ import annotations

from novacron.hookspecs.operation import operation
from novacron.records.diagnosis import Finding


@operation(kind="read", timeout=120.0)
def host_diagnose() -> list[Finding]:
    """Check the host and its services.

    Nothing is changed. A check that can't be made on this host is omitted.

    Returns:
        One record per check, also of those that found nothing wrong. Warnings and problems have a hint.
    """
    raise NotImplementedError


@operation(kind="read", timeout=120.0)
def vm_diagnose(vm: str) -> list[Finding]:
    """Check the definition of a VM, its files and its process.

    Nothing is changed. A check that can't be made in the VM's status is omitted.

    Args:
        vm: UUID or name of the VM.
    Returns:
        One record per check, also of those that found nothing wrong. Warnings and problems have a hint.
    Raises:
        VMNotFoundError: the host has no such VM.
    """
    raise NotImplementedError
