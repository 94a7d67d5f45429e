"""A simulated host: its facts, and what its URI says."""

import pytest

import novacron
from novacron import errors
from novacron.drivers import sim
from novacron.plugins.validation import operations


def test_every_operation_of_the_contract_is_offered(a):
    assert [name for name in operations() if not a.supports(name)] == []


def test_the_host_counts_its_vms_and_memory(a, make):
    before = a.stats()
    make(a, start=True)
    after = a.stats()
    assert (after.vms_total, after.vms_running) == (1, 1)
    assert before.memory_free_bytes - after.memory_free_bytes == 2**30
    assert a.ping().latency_seconds >= 0
    assert [node.name for node in a.nodes()] == ["a"]
    assert "q35" in a.capabilities().machines["x86_64"]


def test_a_bad_uri_names_every_bad_part():
    with pytest.raises(errors.InvalidSpecError) as raised:
        novacron.connect("sim://a/path?vms=many&latency=soon&colour=red")
    assert {p.path for p in raised.value.problems} == {"path", "vms", "latency", "colour"}


def test_a_closed_connection_says_so():
    host = novacron.connect("sim://a")
    host.close()
    with pytest.raises(errors.HostConnectionError) as raised:
        host.info()
    assert raised.value.outcome == "not_sent"


def test_a_filled_host_has_the_same_vms_each_time(volumes):
    with novacron.connect("sim://full?vms=20") as host:
        first = [vm.record for vm in host.vms.list(detail="full")]
        assert [vm.name for vm in first][:2] == ["vm-00001", "vm-00002"]
        assert len({vm.id for vm in first}) == 20
        assert host.vms[first[3].id].record == first[3]
        assert len(host.pools.volumes()) == 20
    sim.forget("full")
    with novacron.connect("sim://full?vms=20") as host:
        assert [vm.record.id for vm in host.vms.list()] == [vm.id for vm in first]


def test_the_vms_of_a_filled_host_can_be_changed_and_deleted(make, volumes):
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
