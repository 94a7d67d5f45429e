"""The simulated driver: the contract in memory."""

import io
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

import novacron
from novacron import DiskSpec, NetworkSpec, VMSpec, errors
from novacron.drivers import sim
from novacron.plugins.validation import operations
from novacron.specs import LimitsSpec, TemplateSpec, TrafficFilterSpec

pytestmark = pytest.mark.usefixtures("own_state")


@pytest.fixture
def a():
    with novacron.connect("sim://a") as host:
        yield host


@pytest.fixture
def b():
    with novacron.connect("sim://b") as host:
        yield host


def make(host, name="web1", **fields):
    fields.setdefault("memory", "1GiB")
    return host.vms.create(name=name, **fields)


def volumes(host):
    return [v.name for p in host.pools.list() for v in host.pools.volumes(p.name)]


def collect(host, count):
    """Subscribe, and return a function that waits for `count` events."""
    found, enough = [], threading.Event()

    def put(event):
        found.append(event)
        if len(found) >= count:
            enough.set()

    host.subscribe(put)

    def wait():
        assert enough.wait(10), found
        return found

    return wait


class TestLifecycle:
    def test_two_connections_to_one_name_see_the_same_vms(self, a):
        make(a)
        with novacron.connect("sim://a", name="other") as again:
            assert again.vms["web1"].record.host == "other"

    def test_a_vm_goes_through_all_states(self, a):
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
    def test_a_stopped_vm_refuses_what_needs_a_running_one(self, a, operation):
        vm = make(a)
        with pytest.raises(errors.InvalidStateError) as raised:
            getattr(vm, operation)()
        assert raised.value.outcome == "failed"
        assert vm.refresh().status == "stopped"

    def test_a_failed_create_leaves_nothing(self, a):
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
    def test_create_refuses_what_is_not_there_and_leaves_nothing(self, a, fields, error):
        with pytest.raises(error):
            make(a, **fields)
        assert (len(a.vms), volumes(a)) == (0, [])

    def test_create_refuses_a_name_or_uuid_that_is_taken(self, a):
        vm = make(a)
        with pytest.raises(errors.AlreadyExistsError):
            make(a)
        with pytest.raises(errors.AlreadyExistsError):
            make(a, "web2", id=vm.id)

    def test_delete_removes_what_was_made_for_the_vm_and_names_what_it_keeps(self, a):
        a.pools.create_volume(name="data", capacity="1GiB")
        vm = make(
            a, disks=[{"size": "1GiB"}, {"path": "/sim/default/data"}], cloud_init={"user_data": "#cloud-config"}, firmware="uefi"
        )
        gone = vm.delete()
        assert gone.kept == ("/sim/default/data",)
        assert {"/sim/default/web1-vda.qcow2", "/sim/default/web1-seed.iso", "NVRAM"} <= set(gone.removed)
        assert volumes(a) == ["data"]

    def test_delete_can_keep_all_disks(self, a):
        assert make(a, disks=[{"size": "1GiB"}]).delete(keep_disks=True).kept == ("/sim/default/web1-vda.qcow2",)
        assert volumes(a) == ["web1-vda.qcow2"]

    def test_delete_refuses_a_running_vm_unless_forced(self, a):
        vm = make(a, start=True)
        with pytest.raises(errors.InvalidStateError):
            vm.delete()
        vm.delete(force=True)
        with pytest.raises(errors.VMNotFoundError):
            vm.refresh()

    def test_a_guest_that_ignores_shutdown_runs_on_or_is_stopped(self, a):
        vm = make(a, native={"ignores_shutdown": True}, start=True)
        with pytest.raises(errors.OperationTimeoutError):
            vm.shutdown(timeout=0.05)
        assert vm.refresh().status == "running"
        assert vm.shutdown(timeout=0.05, otherwise="stop").status == "stopped"

    def test_a_clone_is_independent_and_a_linked_one_is_backed(self, a):
        vm = make(a, disks=[{"size": "1GiB"}], nics=[{"network": "default"}], tags=["web"])
        copy, linked = vm.clone("full"), vm.clone("linked", linked=True)
        assert copy.id != vm.id
        assert copy.record.nics[0].mac != vm.record.nics[0].mac
        assert copy.tags == {"web"}
        assert [c.record.disks[0].backing for c in (copy, linked)] == [None, "/sim/default/web1-vda.qcow2"]
        assert vm.delete().kept == ("/sim/default/web1-vda.qcow2",)

    def test_update_changes_only_what_is_given(self, a):
        vm = make(a, metadata={"owner": "x", "team": "y"}, tags=["web"])
        vm.update(description="d", metadata={"team": None, "cost": "1"}, vcpus=4)
        assert (vm.record.metadata, vm.record.description, vm.record.vcpus) == ({"owner": "x", "cost": "1"}, "d", 4)
        assert (vm.tags, vm.record.memory_bytes) == ({"web"}, 2**30)
        vm.start()
        with pytest.raises(errors.InvalidStateError):
            vm.update(vcpus=8)

    def test_rename_needs_a_stopped_vm_and_a_free_name(self, a):
        vm, other = make(a), make(a, "web2")
        with pytest.raises(errors.AlreadyExistsError):
            vm.rename("web2")
        assert a.vms[vm.rename("web3").name].id == vm.id
        assert "web1" not in a.vms
        with pytest.raises(errors.InvalidStateError):
            other.start().rename("web4")

    def test_an_exported_vm_can_be_imported_again(self, a):
        vm = make(a, disks=[{"size": "1GiB"}], nics=[{"network": "default"}], tags=["web"], start=True)
        text = vm.stop().export().text
        vm.delete(keep_disks=True)
        again = a.vms.import_definition(text)
        ignored = {"created_at": None, "status_reason": ""}
        assert again.record.replace(**ignored) == vm.record.replace(**ignored)
        assert again.delete().kept == (vm.record.disks[0].source,)
        with pytest.raises(errors.InvalidSpecError):
            a.vms.import_definition("<domain/>")

    def test_an_import_with_another_vms_disk_is_refused_unless_it_is_shared_or_only_read(self, a):
        vm = make(a, disks=[{"size": "1GiB"}])
        other = json.loads(vm.export().text) | {"id": str(uuid.uuid4()), "name": "other", "made": ["default/web1-vda.qcow2"]}
        with pytest.raises(errors.InvalidStateError, match="'web1'"):
            a.vms.import_definition(json.dumps(other))
        for way in ("shareable", "read_only"):
            shared = other | {"disks": [other["disks"][0] | {way: True}]}
            assert a.vms.import_definition(json.dumps(shared)).delete().kept == (vm.record.disks[0].source,)
        assert vm.start().status == "running"

    def test_a_name_that_is_another_vms_uuid_is_refused(self, a):
        with pytest.raises(errors.AlreadyExistsError):
            make(a, make(a).id)

    def test_many_threads_leave_a_consistent_host(self, a):
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

    def test_of_many_who_want_a_name_one_gets_it(self, a):
        def attempt(_):
            try:
                return make(a, disks=[{"size": "1MiB"}]).id
            except errors.AlreadyExistsError:
                return None

        with ThreadPoolExecutor(8) as pool:
            ids = [identity for identity in pool.map(attempt, range(32)) if identity]
        assert ids == [a.vms["web1"].id]
        assert volumes(a) == ["web1-vda.qcow2"]

    def test_running_vms_have_addresses_that_are_leased(self, a):
        vm = make(a, nics=[{"network": "default"}], start=True)
        (address,) = vm.refresh().record.nics[0].addresses
        assert [(lease.address, lease.hostname) for lease in a.networks.leases("default")] == [(address, "web1")]
        vm.stop()
        assert a.networks.leases("default") == []


class TestHost:
    def test_every_operation_of_the_contract_is_offered(self, a):
        assert [name for name in operations() if not a.supports(name)] == []

    def test_the_host_counts_its_vms_and_memory(self, a):
        before = a.stats()
        make(a, start=True)
        after = a.stats()
        assert (after.vms_total, after.vms_running) == (1, 1)
        assert before.memory_free_bytes - after.memory_free_bytes == 2**30
        assert a.ping().latency_seconds >= 0
        assert [node.name for node in a.nodes()] == ["a"]
        assert "q35" in a.capabilities().machines["x86_64"]

    def test_a_bad_uri_names_every_bad_part(self):
        with pytest.raises(errors.InvalidSpecError) as raised:
            novacron.connect("sim://a/path?vms=many&latency=soon&colour=red")
        assert {p.path for p in raised.value.problems} == {"path", "vms", "latency", "colour"}

    def test_a_closed_connection_says_so(self):
        host = novacron.connect("sim://a")
        host.close()
        with pytest.raises(errors.HostConnectionError) as raised:
            host.info()
        assert raised.value.outcome == "not_sent"

    def test_a_filled_host_has_the_same_vms_each_time(self):
        with novacron.connect("sim://full?vms=20") as host:
            first = [vm.record for vm in host.vms.list(detail="full")]
            assert [vm.name for vm in first][:2] == ["vm-00001", "vm-00002"]
            assert len({vm.id for vm in first}) == 20
            assert host.vms[first[3].id].record == first[3]
            assert len(host.pools.volumes()) == 20
        sim.forget("full")
        with novacron.connect("sim://full?vms=20") as host:
            assert [vm.record.id for vm in host.vms.list()] == [vm.id for vm in first]

    def test_the_vms_of_a_filled_host_can_be_changed_and_deleted(self):
        with novacron.connect("sim://full?vms=20&prefix=n") as host:
            used = host.pools["default"].allocated_bytes
            host.vms["n00003"].rename("other").update(tags=["x"])
            host.vms["n00005"].delete(force=True)
            assert [vm.name for vm in host.vms.list(tag="x")] == ["other"]
            assert len(host.vms) == len(host.pools.volumes()) == 19
            assert host.pools["default"].allocated_bytes == used * 19 // 20
            assert host.pools.volume("n00003-vda.qcow2").name == "n00003-vda.qcow2"
            with pytest.raises(errors.AlreadyExistsError):
                make(host, "n00007")
            with pytest.raises(errors.AlreadyExistsError):
                host.pools.create_volume(name="n00007-vda.qcow2", capacity="1GiB")
            with pytest.raises(errors.InvalidStateError):
                host.pools.delete_volume("n00007-vda.qcow2")
            with pytest.raises(errors.VMNotFoundError):
                host.vms["n00005"]


class TestResources:
    def set(self, vm, what="vcpus_set", *, live=True, persistent=True, **value):
        return vm.host.invoke(what, vm=vm.id, live=live, persistent=persistent, **value)

    def test_live_changes_go_and_persistent_ones_come_with_a_power_cycle(self, a):
        vm = make(a, vcpus=1, vcpus_max=4, start=True)
        assert self.set(vm, count=2, persistent=False).vcpus == 2
        assert self.set(vm, count=4, live=False).vcpus == 2
        vm.stop()
        assert a.invoke("resources_get", vm=vm.id).vcpus == 4
        vm.start()
        assert self.set(vm, count=3, persistent=False).vcpus == 3
        assert vm.stop().record.vcpus == 4

    def test_the_maximum_bounds_a_running_vm_only(self, a):
        vm = make(a, start=True)
        with pytest.raises(errors.InvalidStateError):
            self.set(vm, "memory_set", size=2**31)
        vm.stop()
        assert self.set(vm, "memory_set", size=2**31).memory_max_bytes == 2**31
        with pytest.raises(errors.InvalidStateError):
            self.set(vm, count=2, persistent=False)

    def test_pinning_and_limits_are_kept_and_checked(self, a):
        vm = make(a)
        assert self.set(vm, "pinning_set", pinning={"0": "0-3,8"}).pinning == {"0": "0-3,8"}
        for bad in ({"7": "0"}, {"0": "64"}, {"0": "x"}, {"0": "3-1"}):
            with pytest.raises(errors.InvalidSpecError):
                self.set(vm, "pinning_set", pinning=bad)
        self.set(vm, "limits_set", limits=LimitsSpec(cpu_shares=100))
        limits = self.set(vm, "limits_set", limits=LimitsSpec(memory_limit="1GiB"))
        assert (limits.cpu_shares, limits.memory_limit_bytes) == (100, 2**30)


class TestStorage:
    def test_a_pool_lives_and_its_volumes_outlive_it(self, a):
        a.pools.create(name="fast", path="/fast")
        a.pools.create_volume("fast", name="v", capacity="1GiB")
        for again in ({"name": "fast"}, {"name": "other", "path": "/fast"}):
            with pytest.raises(errors.AlreadyExistsError):
                a.pools.create(**again)
        assert a.invoke("pool_stop", pool="fast").active is False
        with pytest.raises(errors.InvalidStateError):
            a.pools.volumes("fast")
        assert a.invoke("pool_start", pool="fast") == a.invoke("pool_refresh", pool="fast")
        assert a.pools.delete("fast").kept == ("/fast/v",)
        with pytest.raises(errors.StoragePoolNotFoundError):
            a.pools["fast"]
        a.pools.create(name="again", path="/fast")
        assert [v.name for v in a.pools.volumes("again")] == ["v"]

    def test_a_pool_in_use_is_not_forgotten(self, a):
        make(a, disks=[{"size": "1GiB"}])
        with pytest.raises(errors.InvalidStateError):
            a.pools.delete("default")

    def test_content_goes_in_and_comes_out_with_its_holes(self, a, tmp_path):
        a.pools.create_volume(name="raw", capacity="8MiB", format="raw")
        data = tmp_path / "data"
        with data.open("wb") as file:
            file.seek(5 * 2**20)
            file.write(b"end")
        with data.open("rb") as file:
            record = a.invoke("volume_upload", pool="default", volume="raw", source=file)
        assert record.allocated_bytes == 65536
        out = tmp_path / "out"
        with out.open("wb") as file:
            a.invoke("volume_download", pool="default", volume="raw", target=file)
        assert out.stat().st_size == 8 * 2**20
        assert out.read_bytes()[: data.stat().st_size] == data.read_bytes()

    def test_an_upload_from_memory_is_what_is_downloaded(self, a):
        a.pools.create_volume(name="image", capacity="1MiB")
        data = bytes(range(256)) * 1000
        a.invoke("volume_upload", pool="default", volume="image", source=io.BytesIO(data))
        a.invoke("volume_clone", pool="default", volume="image", name="copy")
        a.invoke("volume_convert", pool="default", volume="image", name="converted", format="raw")
        for name, expected in (("copy", data), ("converted", data.ljust(2**20, b"\0"))):
            out = io.BytesIO()
            a.invoke("volume_download", pool="default", volume=name, target=out)
            assert out.getvalue() == expected
        a.invoke("volume_wipe", pool="default", volume="copy")
        assert a.pools.volume("copy").allocated_bytes == 0

    def test_too_large_an_upload_changes_nothing(self, a):
        a.pools.create_volume(name="small", capacity="64KiB")
        with pytest.raises(errors.ResourceAllocationError):
            a.invoke("volume_upload", pool="default", volume="small", source=io.BytesIO(b"x" * 2**17))
        assert a.pools.volume("small").allocated_bytes == 0

    def test_a_volume_in_use_is_not_deleted_and_not_written(self, a):
        make(a, disks=[{"size": "1GiB"}], start=True)
        a.pools.create_volume(name="base", capacity="1GiB")
        a.pools.create_volume(name="over", backing="base")
        for name in ("web1-vda.qcow2", "base"):
            with pytest.raises(errors.InvalidStateError):
                a.pools.delete_volume(name)
        with pytest.raises(errors.InvalidStateError):
            a.invoke("volume_upload", pool="default", volume="web1-vda.qcow2", source=io.BytesIO(b"x"))

    def test_shrinking_must_be_said(self, a):
        a.pools.create_volume(name="v", capacity="2GiB")
        resize = lambda size, shrink: a.invoke("volume_resize", pool="default", volume="v", size=size, shrink=shrink)  # noqa: E731
        with pytest.raises(errors.InvalidSpecError):
            resize(2**30, False)
        assert resize(2**30, True).capacity_bytes == 2**30
        with pytest.raises(errors.ResourceAllocationError):
            resize(2**60, False)


class TestDevices:
    def test_disks_are_attached_grown_limited_and_detached(self, a):
        vm = make(a, start=True)
        disk = vm.disks.attach(size="1GiB")
        assert disk.record.target == "vda"
        assert disk.resize("2GiB").record.size_bytes == 2**31
        disk.limit(read_iops=100)
        with pytest.raises(errors.InvalidSpecError):
            disk.resize("1GiB")
        with pytest.raises(errors.AlreadyExistsError):
            vm.disks.attach(size="1GiB", target="vda")
        assert disk.detach(delete=True).record.disks == ()
        assert volumes(a) == []

    def test_a_detached_disk_that_is_kept_outlives_the_vm(self, a):
        vm = make(a, disks=[{"size": "1GiB"}])
        vm.disks["vda"].detach()
        vm.delete()
        assert volumes(a) == ["web1-vda.qcow2"]

    def test_a_disk_that_a_snapshot_needs_is_not_deleted(self, a):
        vm = make(a, disks=[{"size": "1GiB"}])
        vm.snapshots.create("one")
        with pytest.raises(errors.InvalidStateError):
            vm.disks["vda"].detach(delete=True)
        vm.disks["vda"].detach()
        assert vm.snapshots["one"].revert().record.disks[0].target == "vda"
        vm.delete()
        assert volumes(a) == []

    def test_there_may_be_more_disks_than_letters(self, a):
        vm = make(a, disks=[{"size": "1MiB"}] * 27)
        assert [d.target for d in vm.record.disks][-2:] == ["vdz", "vdaa"]

    def test_a_disk_attached_after_a_revert_gets_a_volume_of_its_own(self, a):
        vm = make(a)
        vm.snapshots.create("one")
        vm.disks.attach(size="1GiB")
        vm.snapshots["one"].revert()
        assert vm.disks.attach(size="1GiB").record.volume == "web1-vda-2.qcow2"
        vm.delete()
        assert volumes(a) == []

    def test_two_running_vms_never_share_a_disk_unless_told(self, a):
        a.pools.create_volume(name="data", capacity="1GiB")
        make(a, disks=[{"path": "/sim/default/data"}], start=True)
        with pytest.raises(errors.DiskLockedError):
            make(a, "web2", disks=[{"path": "/sim/default/data"}], start=True)
        assert "web2" not in a.vms
        with pytest.raises(errors.DiskLockedError):
            make(a, "web3", start=True).disks.attach(path="/sim/default/data")
        make(a, "web4", disks=[{"path": "/sim/default/data", "read_only": True}], start=True)

    def test_media_are_changed_and_ejected(self, a):
        a.pools.create_volume(name="cd.iso", capacity="1MiB", format="raw")
        vm = make(a, disks=[{"device": "cdrom"}, {"size": "1GiB"}])
        drive = vm.disks["sda"]
        assert drive.change_media("image:cd.iso").record.volume == "cd.iso"
        assert drive.change_media().record.source is None
        with pytest.raises(errors.InvalidSpecError):
            vm.disks["vda"].change_media("image:cd.iso")
        with pytest.raises(errors.DeviceNotFoundError):
            vm.disks["vdz"]

    def test_nics_are_attached_changed_and_detached(self, a):
        a.networks.create(name="lan", cidr="10.5.0.1/24")
        vm = make(a, start=True)
        nic = vm.nics.attach(network="default", mac="52:54:00:AA:BB:CC")
        assert nic.link(up=False).record.link_up is False
        moved = nic.update(network="lan").record
        assert (moved.network, moved.link_up) == ("lan", False)
        assert nic.update(link_up=True).record.network == "lan"
        assert vm.refresh().record.nics[0].addresses == ("10.5.0.2",)
        with pytest.raises(errors.AlreadyExistsError):
            vm.nics.attach(network="default", mac="52:54:00:aa:bb:cc")
        with pytest.raises(errors.NetworkNotFoundError):
            nic.update(network="nowhere")
        assert nic.detach().record.nics == ()

    def test_a_nic_keeps_what_an_update_does_not_name(self, a):
        vm = make(a)
        nic = vm.nics.attach(
            network="default", mtu=1400, vlan=7, portgroup="web", inbound_bytes_per_second="2MiB/s", isolated=True
        )
        before = nic.record
        changed = nic.update(outbound_bytes_per_second="1MiB/s").record
        assert changed == before.replace(outbound_bytes_per_second=2**20)
        assert nic.update(network="default", mtu=1300).record == changed.replace(mtu=1300)
        with pytest.raises(errors.InvalidSpecError):
            nic.update(network="default", bridge="br0")


class TestNetworks:
    def test_names_bridges_and_ranges_are_taken_once(self, a):
        made = a.networks.create(name="lan", cidr="10.5.0.1/24", dhcp_start="10.5.0.10", dhcp_end="10.5.0.20")
        assert (made.active, made.cidrs, made.bridge) == (True, ("10.5.0.1/24",), "virbr1")
        for taken in ({"name": "lan"}, {"name": "x", "bridge": "virbr0"}, {"name": "x", "cidr": "10.5.0.129/25"}):
            with pytest.raises(errors.AlreadyExistsError):
                a.networks.create(**taken)
        with pytest.raises(errors.InvalidSpecError):
            a.networks.create(name="x", cidr="10.6.0.1/24", dhcp_start="10.7.0.1", dhcp_end="10.6.0.9")
        assert [n.name for n in a.networks.list()] == ["default", "lan"]

    def test_a_network_is_updated_stopped_started_and_deleted(self, a):
        a.networks.create(name="lan", cidr="10.5.0.1/24")
        with pytest.raises(errors.InvalidStateError, match="type"):
            a.invoke("network_update", network="lan", spec=NetworkSpec(name="lan", type="isolated"))
        a.invoke("network_stop", network="lan")
        assert a.invoke("network_update", network="lan", spec=NetworkSpec(name="lan", type="isolated")).type == "isolated"
        a.invoke("network_start", network="lan")
        vm = make(a, nics=[{"network": "lan"}])
        a.invoke("network_stop", network="lan")
        with pytest.raises(errors.InvalidStateError):
            vm.start()
        assert a.invoke("network_start", network="lan").active
        a.networks.delete("lan")
        with pytest.raises(errors.NetworkNotFoundError):
            vm.start()

    def test_a_filter_in_use_is_not_deleted(self, a):
        a.invoke("filter_create", spec=TrafficFilterSpec(name="clean", rules=({"action": "deny"},)))
        with pytest.raises(errors.AlreadyExistsError):
            a.invoke("filter_create", spec=TrafficFilterSpec(name="clean"))
        vm = make(a, nics=[{"network": "default", "filter": "clean"}])
        with pytest.raises(errors.InvalidStateError):
            a.invoke("filter_delete", filter="clean")
        vm.delete()
        assert a.invoke("filter_get", filter="clean") in a.invoke("filter_list")
        a.invoke("filter_delete", filter="clean")
        with pytest.raises(errors.TrafficFilterNotFoundError):
            a.invoke("filter_get", filter="clean")


class TestTemplates:
    def create(self, vm, name="golden", **fields):
        return vm.host.invoke("template_create", vm=vm.id, spec=TemplateSpec(name=name, **fields))

    def deploy(self, host, name, *, linked=False, version=None, **fields):
        spec = VMSpec(name=name, **fields)
        return host.vms[host.invoke("template_deploy", template="golden", spec=spec, version=version, linked=linked).id]

    def test_an_existing_name_gets_a_new_version(self, a):
        vm = make(a, disks=[{"size": "1GiB"}])
        assert [self.create(vm).version, self.create(vm).version] == [1, 2]
        assert [t.version for t in a.templates.list()] == [2]
        assert [t.version for t in a.invoke("template_versions", template="golden")] == [1, 2]
        changed = a.invoke("template_update", template="golden", description="new", tags=frozenset({"x"}))
        assert a.templates["golden"] == changed
        with pytest.raises(errors.TemplateNotFoundError):
            a.invoke("template_get", template="golden", version=3)
        with pytest.raises(errors.InvalidStateError):
            self.create(vm.start())

    def test_a_sealed_template_lacks_what_must_differ(self, a):
        vm = make(a, start=True)
        for path in ("/etc/machine-id", "/etc/motd"):
            a.invoke("guest_file_write", vm=vm.id, path=path, data=b"x")
        self.create(vm.stop())
        copy = self.deploy(a, "copy", start=True)
        assert a.invoke("guest_file_read", vm=copy.id, path="/etc/motd") == b"x"
        with pytest.raises(errors.GuestAgentError):
            a.invoke("guest_file_read", vm=copy.id, path="/etc/machine-id")

    def test_what_is_deployed_takes_what_is_given_and_the_rest_from_the_template(self, a):
        vm = make(a, disks=[{"size": "1GiB"}], vcpus=3, tags=["web"], nics=[{"network": "default"}])
        self.create(vm)
        copy = self.deploy(a, "copy", memory="2GiB", disks=[DiskSpec(size="3GiB")])
        assert (copy.record.vcpus, copy.record.memory_bytes, copy.tags) == (3, 2**31, {"web"})
        assert [d.size_bytes for d in copy.record.disks] == [2**30, 3 * 2**30]
        assert copy.delete().kept == ()

    def test_a_template_with_linked_vms_is_not_deleted(self, a):
        self.create(make(a, disks=[{"size": "1GiB"}]))
        copy = self.deploy(a, "copy", linked=True)
        delete = lambda: a.invoke("template_delete", template="golden", version=None)  # noqa: E731
        with pytest.raises(errors.InvalidStateError):
            delete()
        copy.delete()
        assert delete().removed == ("/sim/default/template-golden-v1-vda.qcow2",)
        assert (a.templates.list(), volumes(a)) == ([], ["web1-vda.qcow2"])


class TestMetrics:
    def test_only_running_vms_are_measured_in_bulk_and_counters_grow(self, a):
        vm = make(a, start=True)
        make(a, "web2")
        first, second = (a.invoke("metrics_vms") for _ in range(2))
        assert [m.vm for m in first] == [vm.id]
        assert second[0].cpu_seconds > first[0].cpu_seconds
        assert a.vms["web2"].metrics().cpu_seconds == 0
        assert a.invoke("metrics_host").cpus == 64


class TestGuest:
    def test_the_agent_answers_while_the_vm_runs(self, a):
        vm = make(a, nics=[{"network": "default"}])
        with pytest.raises(errors.GuestAgentUnavailableError):
            vm.guest.info()
        vm.start()
        assert vm.guest.info().addresses == vm.refresh().record.nics[0].addresses
        assert vm.guest.exec("/bin/echo", "a", "b").stdout == b"a b\n"
        assert vm.guest.exec("cat", stdin=b"x").stdout == b"x"
        assert (vm.guest.exec("false").exit_status, vm.guest.exec("cat", "/no").exit_status) == (1, 1)
        with pytest.raises(errors.GuestAgentError):
            vm.guest.exec("rm", "-rf", "/")
        with pytest.raises(errors.OperationTimeoutError):
            vm.guest.exec("sleep", "60", timeout=0.05)

    def test_a_vm_made_without_an_agent_has_none(self, a):
        with pytest.raises(errors.GuestAgentUnavailableError):
            make(a, guest_agent=False, start=True).guest.info()

    def test_a_frozen_guest_does_nothing_until_thawed(self, a):
        vm = make(a, start=True)
        a.invoke("guest_freeze", vm=vm.id)
        with pytest.raises(errors.InvalidStateError):
            vm.guest.exec("true")
        a.invoke("guest_thaw", vm=vm.id)
        a.invoke("guest_thaw", vm=vm.id)
        assert vm.guest.exec("true").exit_status == 0

    def test_files_come_back_with_a_snapshot(self, a):
        vm = make(a, start=True)
        write = lambda data: a.invoke("guest_file_write", vm=vm.id, path="/f", data=data)  # noqa: E731
        write(b"old")
        vm.snapshots.create("one")
        write(b"new")
        vm.snapshots["one"].revert()
        assert a.invoke("guest_file_read", vm=vm.id, path="/f") == b"old"


class TestConsole:
    def test_what_is_typed_comes_back(self, a):
        vm = make(a, start=True)
        console = a.invoke("console_open", vm=vm.id, force=False)
        console.write(b"hello")
        assert console.read(1.0) == b"hello"
        assert console.read(0.0) == b""
        with pytest.raises(errors.BusyError):
            a.invoke("console_open", vm=vm.id, force=False)
        taken = a.invoke("console_open", vm=vm.id, force=True)
        with pytest.raises(errors.InvalidStateError):
            console.write(b"x")
        taken.close()
        a.invoke("console_open", vm=vm.id, force=False).close()

    def test_a_screenshot_is_a_png_and_a_display_has_an_address(self, a):
        vm = make(a, display={"type": "vnc"})
        with pytest.raises(errors.InvalidStateError):
            a.invoke("console_screenshot", vm=vm.id)
        vm.start()
        shot = a.invoke("console_screenshot", vm=vm.id)
        assert shot.data.startswith(b"\x89PNG\r\n\x1a\n")
        endpoint = a.invoke("console_endpoint", vm=vm.id)
        assert (endpoint.kind, endpoint.address) == ("vnc", "127.0.0.1")
        assert a.invoke("console_endpoint", vm=make(a, "web2", start=True).id).kind == "serial"


class TestSnapshots:
    def test_revert_brings_back_status_disks_and_size(self, a):
        vm = make(a, disks=[{"size": "5GiB"}], start=True)
        vm.snapshots.create("running")
        vm.stop().update(vcpus=4)
        vm.disks.attach(size="1GiB")
        assert vm.snapshots["running"].revert().status == "running"
        assert (len(vm.record.disks), vm.record.vcpus) == (1, 1)
        vm.delete(force=True)
        assert volumes(a) == []

    def test_a_snapshot_without_memory_reverts_to_a_stopped_vm(self, a):
        vm = make(a, start=True)
        assert vm.snapshots.create("disks", memory=False).record.status == "stopped"
        assert vm.snapshots["disks"].revert().status == "stopped"
        with pytest.raises(errors.InvalidStateError):
            vm.snapshots.create("impossible", memory=True)
        with pytest.raises(errors.GuestAgentUnavailableError):
            vm.snapshots.create("quiet", quiesce=True)

    def test_snapshots_make_a_tree(self, a):
        vm = make(a)
        for name in ("one", "two", "three"):
            vm.snapshots.create(name)
        vm.snapshots["one"].revert()
        vm.snapshots.create("side")
        tree = {s.name: s.record.parent for s in vm.snapshots}
        assert tree == {"one": None, "two": "one", "three": "two", "side": "one"}
        assert next(s.name for s in vm.snapshots) == "one"
        assert [s.name for s in vm.snapshots if s.record.current] == ["side"]
        with pytest.raises(errors.AlreadyExistsError):
            vm.snapshots.create("two")

    def test_snapshots_are_chosen_by_all_that_is_given(self, a):
        """By name, kind, memory, age, and place in the tree; what is not there is said."""
        vm = make(a, start=True)
        for name in ("one", "two-a", "two-b"):
            vm.snapshots.create(name)
        vm.snapshots["one"].revert()
        vm.snapshots.create("side", memory=False)

        def names(**chosen):
            return [s.name for s in vm.snapshots.list(**chosen)]

        assert names() == ["one", "two-a", "side", "two-b"]
        assert names(name="two-*") == ["two-a", "two-b"]
        assert names(memory=False) == ["side"]
        assert names(memory=True, leaves=True) == ["two-b"]
        assert names(below="one", leaves=True) == ["side", "two-b"]
        assert names(below="two-a") == ["two-b"]
        assert names(kind="external") == [s.name for s in vm.snapshots if s.record.kind == "external"]
        assert names(newer_than="1h") == names()
        assert names(older_than="1h") == []
        with pytest.raises(errors.SnapshotNotFoundError):
            names(below="none")
        with pytest.raises(errors.InvalidValueError):
            names(older_than="a while")

    def test_deleting_one_gives_its_children_to_its_parent(self, a):
        vm = make(a)
        for name in ("one", "two", "three"):
            vm.snapshots.create(name)
        vm.snapshots["two"].delete()
        assert {s.name: s.record.parent for s in vm.snapshots} == {"one": None, "three": "one"}
        vm.snapshots["one"].delete(children=True)
        assert len(vm.snapshots) == 0
        with pytest.raises(errors.SnapshotNotFoundError):
            vm.snapshots["one"]

    def test_volume_content_comes_back(self, a):
        vm = make(a, disks=[{"size": "1MiB", "format": "raw"}])
        put = lambda data: a.invoke(  # noqa: E731
            "volume_upload", pool="default", volume="web1-vda.raw", source=io.BytesIO(data)
        )
        put(b"old")
        vm.snapshots.create("one")
        put(b"new")
        vm.snapshots["one"].revert()
        out = io.BytesIO()
        a.invoke("volume_download", pool="default", volume="web1-vda.raw", target=out)
        assert out.getvalue()[:3] == b"old"


class TestMigration:
    def test_a_running_vm_moves_with_its_volumes_and_snapshots(self, a, b):
        vm = make(a, disks=[{"size": "5GiB"}], nics=[{"network": "default"}], start=True)
        vm.snapshots.create("one")
        vm.migrate(to=b)
        assert (vm.host.name, vm.status, vm.record.host, len(a.vms)) == ("b", "running", "b", 0)
        assert [s.name for s in vm.snapshots] == ["one"]
        assert (volumes(a), volumes(b)) == ([], ["web1-vda.qcow2"])
        assert vm.last_migration.transferred_bytes == 2**30
        vm.migrate(to=a)
        vm.stop().migrate(to=b, live=False)
        assert vm.status == "stopped"

    def test_the_check_names_every_failure_at_once(self, a, b):
        a.networks.create(name="lan")
        a.pools.create(name="fast")
        vm = make(a, disks=[{"size": "1GiB", "pool": "fast"}], nics=[{"network": "lan"}], start=True)
        make(b)
        check = vm.migration_check(b)
        assert not check.ok
        assert [
            word for word in ("'web1' already", "network 'lan'", "storage pool 'fast'") if word not in str(check.failures)
        ] == []
        with pytest.raises(errors.MigrationCheckError) as raised:
            vm.migrate(to=b)
        assert tuple(raised.value.failures) == check.failures
        assert vm.refresh().status == "running"

    def test_a_vm_does_not_move_to_its_own_host_or_without_its_disks(self, a, b):
        a.pools.create_volume(name="data", capacity="1GiB")
        vm = make(a, disks=[{"path": "/sim/default/data"}])
        assert "same host" in vm.migration_check(a).failures[0]
        assert "default/data" in vm.migration_check(b).failures[0]
        b.pools.create_volume(name="data", capacity="1GiB")
        vm.migrate(to=b)
        assert (volumes(a), volumes(b)) == (["data"], ["data"])

    def test_a_slow_migration_reports_and_can_be_cancelled(self, a, b):
        vm = make(a, start=True)
        job = vm.migrate(to=b, bandwidth="1MiB/s", wait=False)
        moving = threading.Event()
        job.listen(lambda progress: progress.details.get("transferred_bytes") and moving.set())
        assert moving.wait(10)
        assert a.vms["web1"].status == "migrating"
        assert {"remaining_bytes", "total_bytes", "downtime_seconds"} <= set(job.progress.details)
        job.cancel()
        with pytest.raises(errors.OperationCancelledError):
            job.wait(10)
        assert (vm.refresh().status, len(b.vms)) == ("running", 0)

    def test_a_migration_past_its_deadline_stays_at_the_source(self, a, b):
        vm = make(a, native={"dirty_bytes_per_second": 2**30}, start=True)
        with pytest.raises(errors.OperationTimeoutError):
            vm.migrate(to=b, bandwidth="100MiB/s", deadline=0.1)
        assert (vm.refresh().status, len(b.vms)) == ("running", 0)

    def test_a_migration_under_way_can_be_tuned(self, a, b):
        vm = make(a, start=True)
        with pytest.raises(errors.InvalidStateError):
            a.invoke("migration_tune", vm=vm.id, bandwidth=2**40, max_downtime=None, post_copy=False)
        job = vm.migrate(to=b, bandwidth="1MiB/s", wait=False)
        moving = threading.Event()
        job.listen(lambda progress: progress.details and moving.set())
        assert moving.wait(10)
        a.invoke("migration_tune", vm=vm.id, bandwidth=2**40, max_downtime=None, post_copy=False)
        assert job.wait(10).host.name == "b"

    def test_copied_disks_are_sent_and_need_space(self, a, b):
        vm = make(a, disks=[{"size": "1GiB", "preallocate": True}])
        sim.world("b").pools["default"].capacity_bytes = 2**20
        assert "bytes left" in vm.migration_check(b, storage="copy").failures[0]
        sim.world("b").pools["default"].capacity_bytes = 2**31
        vm.migrate(to=b, storage="copy")
        assert vm.last_migration.transferred_bytes == 2**30

    def test_disks_move_to_another_pool_while_the_vm_runs(self, a):
        a.pools.create(name="fast")
        vm = make(a, disks=[{"size": "1GiB"}, {"size": "2GiB"}], start=True)
        move = lambda *disks: a.invoke("vm_migrate_storage", vm=vm.id, pool="fast", disks=disks)  # noqa: E731
        assert [d.pool for d in move("vdb").disks] == ["default", "fast"]
        assert [d.pool for d in move().disks] == ["fast", "fast"]
        assert (a.pools.volumes(), len(a.pools.volumes("fast"))) == ([], 2)
        with pytest.raises(errors.DeviceNotFoundError):
            move("vdz")
        vm.delete(force=True)
        assert volumes(a) == []

    def test_crossing_migrations_end(self, a, b):
        ours, theirs = make(a, "ours", start=True), make(b, "theirs", start=True)
        for _ in range(20):
            jobs = [
                ours.migrate(to=b if ours.host is a else a, wait=False),
                theirs.migrate(to=a if theirs.host is b else b, wait=False),
            ]
            for job in jobs:
                job.wait(10)
        assert (ours.host.name, theirs.host.name) == ("a", "b")


class TestEvents:
    def test_changes_are_told_in_order(self, a):
        wait = collect(a, 4)
        vm = make(a).start().stop()
        vm.delete()
        assert [(e.kind, e.status) for e in wait()] == [
            ("vm.defined", "stopped"),
            ("vm.status", "running"),
            ("vm.status", "stopped"),
            ("vm.deleted", "stopped"),
        ]

    def test_a_closed_subscription_hears_nothing_more(self, a):
        heard = []
        a.subscribe(heard.append).close()
        wait = collect(a, 1)
        make(a)
        wait()
        assert heard == []

    def test_a_subscriber_that_fails_does_not_keep_events_from_others(self, a):
        def fail(event):
            raise RuntimeError("mine")

        a.subscribe(fail)
        wait = collect(a, 2)
        make(a).start()
        assert [e.kind for e in wait()] == ["vm.defined", "vm.status"]

    def test_nothing_is_lost_over_a_lost_connection(self, a):
        vm = make(a, start=True)
        wait = collect(a, 3)
        world = sim.world("a")
        world.disconnect()
        with pytest.raises(errors.HostConnectionError):
            vm.refresh()
        with pytest.raises(errors.HostConnectionError):
            novacron.connect("sim://a")
        world.crash("web1")
        world.reconnect()
        assert [(e.kind, e.reason) for e in wait()] == [
            ("host.connection", "lost"),
            ("host.connection", "connected"),
            ("vm.status", "panicked"),
        ]
        assert vm.refresh().status == "crashed"


def test_a_released_address_is_given_again_and_no_address_twice():
    with novacron.connect("sim://addresses-again?vms=300") as host:
        found = [address for vm in host.vms.list(detail="full") for nic in vm.record.nics for address in nic.addresses]
        assert len(found) == len(set(found)) == 225  # three of four run
        first = next(vm for vm in host.vms.list(detail="full") if "192.168.122.2" in vm.record.nics[0].addresses)
        first.delete(force=True)
        again = host.vms.create(name="again", nics=[{"network": "default"}], start=True)
        assert again.record.nics[0].addresses == ("192.168.122.2",)
