"""Calls as scripts make them. Type checkers accept this file as it is; it is not run.

Each line with an `expect-error` comment is a mistake that type checkers must find. `test_typing.py` checks both.
"""

from __future__ import annotations

from typing import assert_type

import novacron
from novacron import VMSpec
from novacron.handles.addresses import Address
from novacron.handles.disks import DiskHandle
from novacron.handles.host import HostHandle
from novacron.handles.snapshots import SnapshotHandle
from novacron.handles.vm import VMHandle
from novacron.hookspecs.events import Subscription
from novacron.jobs import Job
from novacron.records import VM, Deleted, Network, StoragePool, Volume
from novacron.records.guest import GuestInfo
from novacron.records.vm import Status
from novacron.workflow import Workflow, steps


def vms(host: HostHandle, other: HostHandle) -> None:
    """Creating, changing, migrating and deleting VMs."""
    vm = host.vms.create(name="web1", vcpus=2, memory="2GiB", disks=[{"size": "20GiB"}], nics=[{"network": "default"}])
    assert_type(vm, VMHandle)
    assert_type(vm.record, VM)
    assert_type(host.vms.create(VMSpec(name="web2"), wait=False), Job[VMHandle])
    assert_type(vm.update(memory="4GiB", tags={"web"}), VMHandle)
    assert_type(vm.migrate(other, bandwidth="100MiB/s", max_downtime=0.3), VMHandle)
    assert_type(vm.migrate(other, wait=False), Job[VMHandle])
    assert_type(vm.migrate(other, wait=False).result(), VMHandle)
    assert_type(vm.shutdown(timeout="30s", otherwise="stop"), VMHandle)
    assert_type(vm.clone("web3", linked=True), VMHandle)
    assert_type(vm.clone("web3", wait=False), Job[VMHandle])
    assert_type(vm.wait_for("running"), Status)
    assert_type(vm.wait_for("agent", timeout="2m"), GuestInfo)
    assert_type(vm.wait_for("ip"), list[Address])
    assert_type(vm.wait_for("ssh"), str)
    assert_type(vm.record.replace(name="web4"), VM)
    assert_type(host.subscribe(print), Subscription)
    assert_type(vm.delete(force=True), Deleted)
    host.vms.create(name="web1", memry="2GiB")  # type: ignore[call-overload]  # expect-error
    vm.update(memroy="4GiB")  # type: ignore[call-arg]  # expect-error
    host.vms.list(tagg="web")  # type: ignore[call-arg]  # expect-error
    host.vms.list(tag="web", status=["running"], limit=5)
    vm.migrate(other, bandwith="1MiB/s")  # type: ignore[call-overload]  # expect-error


def devices(vm: VMHandle) -> None:
    """Disks, NICs and snapshots."""
    disk = vm.disks.attach(size="10GiB", cache="none")
    assert_type(disk, DiskHandle)
    assert_type(disk.pull(), DiskHandle)
    assert_type(disk.commit(wait=False), Job[DiskHandle])
    vm.nics.attach(network="default", mtu=1400).update(outbound_bytes_per_second="1MiB/s")
    assert_type(vm.snapshots.create("before", memory=True), SnapshotHandle)
    assert_type(vm.snapshots.create("before", wait=False), Job[SnapshotHandle])
    assert_type(vm.snapshots["before"].revert(), VMHandle)
    vm.resources.limit(cpu_limit_percent=150, disks={"vda": {"read_iops": 500}})
    vm.disks.attach(sze="10GiB")  # type: ignore[call-arg]  # expect-error
    vm.nics.attach(network="default", mtuu=1400)  # type: ignore[call-arg]  # expect-error
    vm.snapshots.create("before", qiesce=True)  # type: ignore[call-overload]  # expect-error


def storage(host: HostHandle) -> None:
    """Pools, volumes, networks and templates."""
    assert_type(host.pools.create(name="fast", path="/srv/fast"), StoragePool)
    assert_type(host.pools.create_volume(name="data", capacity="10GiB"), Volume)
    assert_type(host.pools.clone_volume("data", "copy", wait=False), Job[Volume])
    assert_type(host.pools.delete_volume("data"), Deleted)
    assert_type(host.networks.create(name="lan", cidr="10.0.5.1/24"), Network)
    assert_type(host.templates.deploy("debian", "web4", memory="1GiB"), VMHandle)
    host.networks.create(name="lan", cdir="10.0.5.1/24")  # type: ignore[call-arg]  # expect-error


def flows(vm: VMHandle) -> None:
    """Steps of workflows."""
    assert_type(steps.snapshot("before", kind="external") >> steps.migrate("kvm2", live=True), Workflow)
    steps.update(memory="1GiB")
    assert_type(steps.disk_resize(disk="vda", size=20 * 2**30), Workflow)
    steps.snapshot("before", knid="external")  # type: ignore[call-arg]  # expect-error
    steps.update(memroy="1GiB")  # type: ignore[call-arg]  # expect-error
    steps.snapshoot("before")  # type: ignore[attr-defined]  # expect-error


def connections() -> None:
    """Hosts."""
    with novacron.connect("sim://lab") as host:
        assert_type(host, HostHandle)
