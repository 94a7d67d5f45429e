"""Storage policies (SPBM): list, assign to VMs and disks, check whether they are kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from typing import Any

from novacron.errors import NotFoundError, UnsupportedOperationError
from novacron.jobs import Job
from novacron_vmware.devices import find_disk, places
from novacron_vmware.errors import translated
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.history import time_of
from novacron_vmware.native.records import PolicyState, StoragePolicy
from novacron_vmware.sdk import pbm, pbm_stub, vim

MOST = 1000
"""Policies at most."""
COOKIE = "vmware_soap_session"


class VSpherePolicies(NativeOperations):
    """Storage policies of a vCenter."""

    @vsphere.operation(kind="read")
    def policy_list(self) -> list[StoragePolicy]:
        """List the storage policies."""
        with self._manager_of_profiles() as service:
            return sorted(map(_policy, _profiles(service)), key=lambda each: each.name)

    @vsphere.operation(kind="read")
    def policy_state(self, vm: str, check: bool = False) -> list[PolicyState]:
        """Show the storage policies of a VM and of its disks, and whether they are kept.

        Args:
            vm: its name, path or id.
            check: let vSphere check now; otherwise what it found last.
        """
        with self._manager_of_profiles() as service:
            return self._states(service, self._connection.inventory.find(vm), check=check)

    @vsphere.operation(kind="job", locks="vm", idempotent=True)
    def policy_assign(self, vm: str, policy: str, job: Job[list[PolicyState]], disk: str = "") -> list[PolicyState]:
        """Assign a storage policy to a VM's home and all its disks, or to one disk. No data is moved by it.

        Args:
            vm: its name, path or id.
            policy: the policy's name or id; "default" for that of the datastore.
            disk: only this disk, such as sdb.
        """
        thing = self._connection.inventory.find(vm)
        devices = self._connection.read(thing, ["config.hardware.device"]).get("config.hardware.device") or ()
        disks = [find_disk(devices, disk, vm)] if disk else [each for _, each in places(devices)]
        with self._manager_of_profiles() as service:
            given: Any = vim.vm.DefaultProfileSpec()
            if policy != "default":
                given = vim.vm.DefinedProfileSpec(profileId=_named(_profiles(service), policy).profileId.uniqueId)
            spec = vim.vm.ConfigSpec(vmProfile=[] if disk else [given])
            for device in disks:
                if isinstance(device, vim.vm.device.VirtualDisk):
                    change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=device, profile=[given])
                    spec.deviceChange.append(change)
            self._run(vm, lambda: thing.ReconfigVM_Task(spec), job)
            return self._states(service, thing, check=False)

    @contextmanager
    def _manager_of_profiles(self) -> Iterator[Any]:
        """Yield the content of the policy service, in this session. Raises UnsupportedOperationError for a single ESXi."""
        connection = self._connection
        if connection.is_esxi:
            raise UnsupportedOperationError(
                "a single ESXi has no storage policies", outcome="not_sent", hint="connect to its vCenter"
            )
        connection.read(connection.content.sessionManager, ["currentSession"])  # the session is renewed if it has expired
        cookie = SimpleCookie(str(connection.session.cookie)).get(COOKIE)
        host, port = connection.address
        stub = pbm_stub(host, port, connection.tls, connection.timeout, cookie.value if cookie else "")
        try:
            with translated("storage policies"):
                yield pbm.ServiceInstance("ServiceInstance", stub).PbmRetrieveServiceContent()
        finally:
            stub.DropConnections()

    def _states(self, service: Any, thing: Any, *, check: bool) -> list[PolicyState]:
        read = self._connection.read(thing, ["config.instanceUuid", "config.hardware.device"])
        disks = {
            device.key: name
            for name, device in places(read.get("config.hardware.device") or ())
            if isinstance(device, vim.vm.device.VirtualDisk)
        }
        entities = [pbm.ServerObjectRef(objectType="virtualMachine", key=thing._moId)]
        entities += [pbm.ServerObjectRef(objectType="virtualDiskId", key=f"{thing._moId}:{key}") for key in disks]
        names = {each.profileId.uniqueId: each.name for each in _profiles(service)}
        associated = service.profileManager.PbmQueryAssociatedProfiles(entities) or []
        known = {each.object.key: names.get(each.profileId[0].uniqueId) for each in associated if each.profileId}
        manager = service.complianceManager
        results = (manager.PbmCheckCompliance if check else manager.PbmFetchComplianceResult)(entities, None) if known else []
        kept = {each.entity.key: each for each in results or ()}
        records = []
        for entity, disk in zip(entities, [None, *disks.values()], strict=True):
            result = kept.get(entity.key)
            records.append(
                PolicyState(
                    vm=read["config.instanceUuid"],
                    disk=disk,
                    policy=known.get(entity.key),
                    compliance=str(result.complianceStatus) if result is not None else "notApplicable",
                    checked_at=time_of(result.checkTime) if result is not None else None,
                )
            )
        return records


def _profiles(service: Any) -> list[Any]:
    manager = service.profileManager
    ids = manager.PbmQueryProfile(pbm.profile.ResourceType(resourceType="STORAGE"), "REQUIREMENT") or []
    return list(manager.PbmRetrieveContent(ids[:MOST])) if ids else []


def _named(profiles: list[Any], policy: str) -> Any:
    for each in profiles:
        if policy in (each.name, each.profileId.uniqueId):
            return each
    names = ", ".join(sorted(each.name for each in profiles)[:10]) or "none"
    raise NotFoundError(f"no storage policy {policy!r}", resource=policy, hint=f"there are: {names}")


def _policy(profile: Any) -> StoragePolicy:
    return StoragePolicy(
        name=profile.name,
        id=profile.profileId.uniqueId,
        description=profile.description or "",
        default=bool(getattr(profile, "isDefault", False)),
    )


__all__ = ["VSpherePolicies"]
