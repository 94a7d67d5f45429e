"""VMs are created, change their states and are deleted."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

import novacron
from novacron import errors
from novacron.drivers import sim


def test_two_connections_to_one_name_see_the_same_vms(a, make):
    make(a)
    with novacron.connect("sim://a", name="other") as again:
        assert again.vms["web1"].record.host == "other"


def test_a_vm_goes_through_all_states(a, make):
    vm = make(a)
    assert vm.start().status == "running"
    assert vm.suspend().suspend().status == "suspended"
    assert vm.resume().resume().status == "running"
    assert vm.reboot().reset().status == "running"
    assert vm.save().status == "saved"
    assert vm.restore().status == "running"
    assert vm.shutdown().status == "stopped"
    assert vm.start().stop().status == "stopped"


@pytest.mark.parametrize("operation", ["stop", "suspend", "resume", "reboot", "reset", "save", "restore", "shutdown"])
def test_a_stopped_vm_refuses_what_needs_a_running_one(a, operation, make):
    vm = make(a)
    with pytest.raises(errors.InvalidStateError) as raised:
        getattr(vm, operation)()
    assert raised.value.outcome == "failed"
    assert vm.refresh().status == "stopped"


def test_a_failed_create_leaves_nothing(a, make, volumes):
    a.pools.create(name="small")
    sim.world("a").pools["small"].capacity_bytes = 2**30
    with pytest.raises(errors.ResourceAllocationError) as raised:
        make(a, disks=[{"size": "1GiB"}, {"size": "2GiB", "pool": "small"}])
    assert "small" in str(raised.value)
    assert raised.value.hint
    assert (len(a.vms), volumes(a)) == (0, [])


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"disks": [{"size": "1GiB", "pool": "nowhere"}]}, errors.StoragePoolNotFoundError),
        ({"disks": [{"size": "1GiB"}, {"source": "image:nothing"}]}, errors.ImageNotFoundError),
        ({"disks": [{"size": "1GiB"}], "iso": "/sim/default/no.iso"}, errors.ImageNotFoundError),
        ({"kernel": {"path": "/sim/default/vmlinuz"}}, errors.ImageNotFoundError),
        ({"nics": [{"network": "nowhere"}]}, errors.NetworkNotFoundError),
        ({"nics": [{"network": "default", "filter": "nothing"}]}, errors.TrafficFilterNotFoundError),
        ({"arch": "sparc"}, errors.InvalidSpecError),
        ({"machine": "z16"}, errors.InvalidSpecError),
        ({"memory": "10TiB"}, errors.InvalidSpecError),
        ({"node": "other"}, errors.InvalidSpecError),
    ],
)
def test_create_refuses_what_is_not_there_and_leaves_nothing(a, fields, error, make, volumes):
    with pytest.raises(error):
        make(a, **fields)
    assert (len(a.vms), volumes(a)) == (0, [])


def test_create_refuses_a_name_or_uuid_that_is_taken(a, make):
    vm = make(a)
    with pytest.raises(errors.AlreadyExistsError):
        make(a)
    with pytest.raises(errors.AlreadyExistsError):
        make(a, "web2", id=vm.id)


def test_delete_removes_what_was_made_for_the_vm_and_names_what_it_keeps(a, make, volumes):
    a.pools.create_volume(name="data", capacity="1GiB")
    vm = make(
        a, disks=[{"size": "1GiB"}, {"path": "/sim/default/data"}], cloud_init={"user_data": "#cloud-config"}, firmware="uefi"
    )
    gone = vm.delete()
    assert gone.kept == ("/sim/default/data",)
    assert {"/sim/default/web1-vda.qcow2", "/sim/default/web1-seed.iso", "NVRAM"} <= set(gone.removed)
    assert volumes(a) == ["data"]


def test_delete_can_keep_all_disks(a, make, volumes):
    assert make(a, disks=[{"size": "1GiB"}]).delete(keep_disks=True).kept == ("/sim/default/web1-vda.qcow2",)
    assert volumes(a) == ["web1-vda.qcow2"]


def test_delete_refuses_a_running_vm_unless_forced(a, make):
    vm = make(a, start=True)
    with pytest.raises(errors.InvalidStateError):
        vm.delete()
    vm.delete(force=True)
    with pytest.raises(errors.VMNotFoundError):
        vm.refresh()


def test_a_guest_that_ignores_shutdown_runs_on_or_is_stopped(a, make):
    vm = make(a, native={"ignores_shutdown": True}, start=True)
    with pytest.raises(errors.OperationTimeoutError):
        vm.shutdown(timeout=0.05)
    assert vm.refresh().status == "running"
    assert vm.shutdown(timeout=0.05, otherwise="stop").status == "stopped"


def test_a_clone_is_independent_and_a_linked_one_is_backed(a, make):
    vm = make(a, disks=[{"size": "1GiB"}], nics=[{"network": "default"}], tags=["web"])
    copy, linked = vm.clone("full"), vm.clone("linked", linked=True)
    assert copy.id != vm.id
    assert copy.record.nics[0].mac != vm.record.nics[0].mac
    assert copy.tags == {"web"}
    assert [c.record.disks[0].backing for c in (copy, linked)] == [None, "/sim/default/web1-vda.qcow2"]
    assert vm.delete().kept == ("/sim/default/web1-vda.qcow2",)


def test_update_changes_only_what_is_given(a, make):
    vm = make(a, metadata={"owner": "x", "team": "y"}, tags=["web"])
    vm.update(description="d", metadata={"team": None, "cost": "1"}, vcpus=4)
    assert (vm.record.metadata, vm.record.description, vm.record.vcpus) == ({"owner": "x", "cost": "1"}, "d", 4)
    assert (vm.tags, vm.record.memory_bytes) == ({"web"}, 2**30)
    vm.start()
    with pytest.raises(errors.InvalidStateError):
        vm.update(vcpus=8)


def test_rename_needs_a_stopped_vm_and_a_free_name(a, make):
    vm, other = make(a), make(a, "web2")
    with pytest.raises(errors.AlreadyExistsError):
        vm.rename("web2")
    assert a.vms[vm.rename("web3").name].id == vm.id
    assert "web1" not in a.vms
    with pytest.raises(errors.InvalidStateError):
        other.start().rename("web4")


def test_an_exported_vm_can_be_imported_again(a, make):
    vm = make(a, disks=[{"size": "1GiB"}], nics=[{"network": "default"}], tags=["web"], start=True)
    text = vm.stop().export().text
    vm.delete(keep_disks=True)
    again = a.vms.import_definition(text)
    ignored = {"created_at": None, "status_reason": ""}
    assert again.record.replace(**ignored) == vm.record.replace(**ignored)
    assert again.delete().kept == (vm.record.disks[0].source,)
    with pytest.raises(errors.InvalidSpecError):
        a.vms.import_definition("<domain/>")


def test_an_import_with_another_vms_disk_is_refused_unless_it_is_shared_or_only_read(a, make):
    vm = make(a, disks=[{"size": "1GiB"}])
    other = json.loads(vm.export().text) | {"id": str(uuid.uuid4()), "name": "other", "made": ["default/web1-vda.qcow2"]}
    with pytest.raises(errors.DiskLockedError, match="'web1'"):
        a.vms.import_definition(json.dumps(other))
    for way in ("shareable", "read_only"):
        shared = other | {"disks": [other["disks"][0] | {way: True}]}
        assert a.vms.import_definition(json.dumps(shared)).delete().kept == (vm.record.disks[0].source,)
    assert vm.start().status == "running"


def test_a_name_that_is_another_vms_uuid_is_refused(a, make):
    with pytest.raises(errors.AlreadyExistsError):
        make(a, make(a).id)


def test_many_threads_leave_a_consistent_host(a, make, volumes):
    def life(number):
        for turn in range(5):
            vm = make(a, f"vm{number}-{turn}", disks=[{"size": "1MiB"}], nics=[{"network": "default"}], start=True)
            vm.snapshots.create("one")
            vm.stop()
            vm.delete()
        return number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(life, range(16))) == list(range(16))
    assert (len(a.vms), volumes(a), a.networks.leases("default")) == (0, [], [])


def test_of_many_who_want_a_name_one_gets_it(a, make, volumes):
    def attempt(_):
        try:
            return make(a, disks=[{"size": "1MiB"}]).id
        except errors.AlreadyExistsError:
            return None

    with ThreadPoolExecutor(8) as pool:
        ids = [identity for identity in pool.map(attempt, range(32)) if identity]
    assert ids == [a.vms["web1"].id]
    assert volumes(a) == ["web1-vda.qcow2"]


def test_running_vms_have_addresses_that_are_leased(a, make):
    vm = make(a, nics=[{"network": "default"}], start=True)
    (address,) = vm.refresh().record.nics[0].addresses
    assert [(lease.address, lease.hostname) for lease in a.networks.leases("default")] == [(address, "web1")]
    vm.stop()
    assert a.networks.leases("default") == []
