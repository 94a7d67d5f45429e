"""Objects that govc deletes between two calls of an operation: left out of listings, and not found when they were named."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from novacron import errors
from novacron.specs import VMQuery
from novacron_vmware.collector import PropertyReader
from novacron_vmware.gone import Read, still_there
from novacron_vmware.sdk import SoapStubAdapter, vim, vmodl

Filter = vmodl.query.PropertyCollector
DISK, NIC = {"size": "1MiB"}, {"network": "VM Network", "mac": "00:50:56:00:00:77"}


def change_nic(vm, host):
    vm.nics.attach(NIC)
    vm.nics[NIC["mac"]].update(network="VM Network")


ASKED = (
    [Filter.ObjectSpec(obj=vim.VirtualMachine("vm-1"))],
    [Filter.PropertySpec(type=vim.VirtualMachine, pathSet=["name"])],
)
OPERATIONS = {
    "show": lambda vm, host: vm.refresh(),
    "snapshot": lambda vm, host: vm.snapshots.create("one"),
    "disk": lambda vm, host: vm.disks.attach(DISK),
    "NIC": change_nic,
    "update": lambda vm, host: vm.update(description="changed"),
    "migrate": lambda vm, host: vm.migrate(host, node="DC0_C0_H1"),
    "clone": lambda vm, host: vm.clone(f"{vm.name}-copy").delete(),
    "measure": lambda vm, host: vm.metrics(),
}


class Calls:
    """Counts the calls of this process, and does something before one of them."""

    def __init__(self, monkeypatch):
        self._count, self._before, self._then = 0, None, None
        real = SoapStubAdapter.InvokeMethod

        def invoke(stub, thing, info, *arguments):
            self._count += 1
            if self._count == self._before:
                self._then()
            return real(stub, thing, info, *arguments)

        monkeypatch.setattr(SoapStubAdapter, "InvokeMethod", invoke)

    def begin(self, before=None, then=None):
        self._count, self._before, self._then = 0, before, then

    def ended(self):
        """Return how many calls there were."""
        count, self._before = self._count, None
        return count

    def none_left(self):
        """Do it now, if there were not so many calls: how often a task is looked at depends on the task."""
        if self._count < (self._before or 0):
            self._then()
        self._before = None


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_vm_that_is_deleted_meanwhile_is_not_found(name, host, govc, sample, monkeypatch):
    """Whichever call comes first after its deletion; nothing else is raised, and nothing of it stays."""
    calls, operation, passing = Calls(monkeypatch), OPERATIONS[name], f"passing-{name}"
    vm = host.vms.create(name=passing, memory="64MiB", native={"cluster": "DC0_C0"})
    calls.begin()
    operation(vm, host)
    count = calls.ended()
    vm.delete()
    numbers = list(range(1, count + 1))
    for number in random.Random(name).sample(numbers, min(len(numbers), sample(2, 100))):
        vm = host.vms.create(name=passing, memory="64MiB", native={"cluster": "DC0_C0"})
        calls.begin(number, lambda: govc("vm.destroy", f"/DC0/vm/{passing}"))
        try:
            operation(vm, host)
        except errors.NotFoundError:
            pass
        calls.none_left()
        assert govc.lines("find", "/DC0/vm", "-name", f"{passing}*") in ([], [f"/DC0/vm/{passing}-copy"]), number
        if govc.lines("find", "/DC0/vm", "-name", f"{passing}-copy"):
            govc("vm.destroy", f"/DC0/vm/{passing}-copy")


@pytest.mark.parametrize("detail", ["summary", "full"])
def test_a_listing_leaves_out_what_is_deleted_meanwhile(detail, host, govc, sample, monkeypatch):
    """The others are all there, whichever call comes first after the deletion."""
    calls = Calls(monkeypatch)
    host.vms.create(name=f"staying-{detail}", memory="64MiB")

    def listed():
        return {vm.name for vm in host.invoke("vm_list", query=VMQuery(detail=detail))}

    listed()
    calls.begin()
    listed()
    for number in range(1, min(calls.ended(), sample(3, 100)) + 1):
        host.vms.create(name="passing", memory="64MiB")
        calls.begin(number, lambda: govc("vm.destroy", "/DC0/vm/passing"))
        assert f"staying-{detail}" in listed()
        calls.none_left()
        assert "passing" not in listed()
    host.vms[f"staying-{detail}"].delete()


def test_an_object_that_goes_while_it_is_read_is_left_out():
    """A vCenter tells it in the answer (recorded): the properties that it had not read yet are missing. The simulator never does."""
    there, going = vim.VirtualMachine("vm-1"), vim.VirtualMachine("vm-2")

    def item(thing, *gaps):
        name = SimpleNamespace(name="name", val=thing._moId)
        return SimpleNamespace(obj=thing, propSet=[name], missingSet=[SimpleNamespace(path="config", fault=gap) for gap in gaps])

    gone, refused = vmodl.fault.ManagedObjectNotFound(obj=going), vim.fault.NoPermission()
    pages = [SimpleNamespace(token=None, objects=[item(there, refused), item(going, gone)])]
    collector = SimpleNamespace(RetrievePropertiesEx=lambda *_: pages[0])
    reader = PropertyReader(SimpleNamespace(logins=1), SimpleNamespace(rootFolder=None, propertyCollector=collector))
    assert reader.retrieve(*ASKED) == [(there, {"name": "vm-1"})]


def test_pages_of_objects_that_are_gone_end(monkeypatch):
    """A server may send them without end."""
    monkeypatch.setattr("novacron_vmware.collector.MOST", 100)
    thing = vim.VirtualMachine("vm-1")
    gap = SimpleNamespace(path="name", fault=vmodl.fault.ManagedObjectNotFound(obj=thing))
    page = SimpleNamespace(token="1", objects=[SimpleNamespace(obj=thing, propSet=[], missingSet=[gap])])
    collector = SimpleNamespace(RetrievePropertiesEx=lambda *_: page, ContinueRetrievePropertiesEx=lambda *_: page)
    reader = PropertyReader(SimpleNamespace(logins=1), SimpleNamespace(rootFolder=None, propertyCollector=collector))
    with pytest.raises(errors.DriverError, match="does not end"):
        reader.retrieve(*ASKED)


def test_what_is_gone_is_not_found():
    """Not a KeyError, and not a StopIteration that ends a loop around it."""
    with pytest.raises(errors.NotFoundError, match="owner"):
        Read(name="a")["owner"]
    with pytest.raises(errors.NotFoundError):
        still_there(each for each in ())
    assert still_there(each for each in (1, 2)) == 1


def test_no_fault_leaves_an_operation_untranslated(host, monkeypatch):
    """Whatever part of an operation raises it."""
    inventory = host.dispatcher.driver.native.inventory

    def raises(*_):
        raise vmodl.fault.ManagedObjectNotFound(obj=vim.VirtualMachine("vm-1"))

    monkeypatch.setattr(inventory, "vms", raises)
    with pytest.raises(errors.VMNotFoundError):
        host.invoke("vm_list", query=VMQuery())
