"""A whole driver: the mandatory operations over a dictionary, and nothing else."""

import uuid

from novacron import errors
from novacron.plugins import Driver, DriverProvider, hookimpl
from novacron.records import VM, Deleted, Host, Ping

GIB = 2**30


class AcmeHost:
    """The host and its VMs, by UUID."""

    def __init__(self, name, uri):
        self.name, self.uri, self.vms = name, uri, {}

    @hookimpl
    def host_info(self):
        return Host(name=self.name, uri=self.uri, driver="acme", hypervisor="ACME", version="1.0", hostname=self.name)

    @hookimpl
    def host_ping(self):
        return Ping(host=self.name, latency_seconds=0.0, version="1.0")

    @hookimpl
    def vm_list(self):
        return list(self.vms.values())

    @hookimpl
    def vm_get(self, vm):
        found = self.vms.get(vm) or next((v for v in list(self.vms.values()) if v.name == vm), None)
        if found is None:
            raise errors.VMNotFoundError(f"no VM {vm!r}", resource=vm)
        return found

    @hookimpl
    def vm_create(self, spec):
        identity = str(spec.id or uuid.uuid4())
        if identity in self.vms or any(v.name == spec.name for v in list(self.vms.values())):
            raise errors.AlreadyExistsError(f"a VM {spec.name!r} is already there", hint="give another name")
        if spec.disks or spec.nics or spec.memory > 64 * GIB:
            raise errors.ResourceAllocationError(f"no room for {spec.name!r}", hint="ACME has neither disks nor NICs, and 64 GiB")
        copied = {name: getattr(spec, name) for name in ("name", "vcpus", "tags", "metadata", "description")}
        status = "running" if spec.start else "stopped"
        self.vms[identity] = VM(id=identity, host=self.name, status=status, memory_bytes=spec.memory, disks=(), nics=(), **copied)
        return self.vms[identity]

    @hookimpl
    def vm_start(self, vm):
        return self._become(vm, "stopped", "running")

    @hookimpl
    def vm_stop(self, vm):
        return self._become(vm, "running", "stopped")

    @hookimpl
    def vm_delete(self, vm, force):
        found = self.vm_get(vm) if force else self._become(vm, "stopped", "stopped")
        del self.vms[found.id]
        return Deleted(name=found.name, id=found.id)

    def _become(self, vm, before, after):
        found = self.vm_get(vm)
        if found.status != before:
            raise errors.InvalidStateError(f"{found.name!r} is {found.status}", hint=f"it has to be {before}")
        self.vms[found.id] = found.replace(status=after)
        return self.vms[found.id]


VM_FIELDS = "name id vcpus memory tags metadata description start disks nics"
FIELDS = {"VMSpec": VM_FIELDS, "DiskSpec": "size source path pool", "NICSpec": "network"}
"""The fields that this driver reads. NovaCron refuses all others before it calls the driver."""

provider = DriverProvider(
    name="acme", schemes=["acme"], connect=lambda uri, context: Driver([AcmeHost(context.name, uri.text)]), fields=lambda: FIELDS
)
