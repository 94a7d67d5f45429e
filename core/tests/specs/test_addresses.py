"""Addresses by which others reach a guest."""

import pytest

import novacron
from novacron.errors import GuestAgentError, InvalidStateError, OperationTimeoutError, UnsupportedOperationError
from novacron.records.nics import NICAddress


@pytest.mark.parametrize(
    "address",
    [
        "fe80::1",
        "fe80::1%eth0",
        "169.254.0.9",
        "127.0.0.1",
        "::1",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "::",
        "",
        "x",
        "10.0.0.1/24",
    ],
)
def test_addresses_that_nobody_can_use_are_left_out(address):
    assert NICAddress.usable(vm="1", mac="52:54:00:00:00:01", address=address, source="agent") is None


@pytest.mark.parametrize(
    ("address", "family"), [("10.0.0.1", "ipv4"), ("192.0.2.7", "ipv4"), ("2001:db8::1", "ipv6"), ("fd00::5", "ipv6")]
)
def test_addresses_know_their_family(address, family):
    record = NICAddress.usable(vm="1", mac="52:54:00:AA:00:01", address=address, source="lease", prefix=24)
    assert (record.address, record.family, record.mac, record.prefix) == (address, family, "52:54:00:aa:00:01", 24)


def test_a_vm_that_does_not_run_has_no_address():
    host = novacron.connect("sim://addresses-of-a-vm")
    vm = host.vms.create(name="web1", nics=[{"network": "default"}])
    assert vm.addresses() == []
    vm.start()
    (address,) = vm.addresses()
    assert (address.mac, address.source, address.version) == (vm.record.nics[0].mac, "lease", 4)
    assert vm.addresses(6) == []
    with pytest.raises(UnsupportedOperationError):
        host.invoke("address_list", vm=vm.id, source="tools")


@pytest.mark.parametrize("condition", ["agent", "ip", "ssh", "cloud-init"])
def test_nobody_waits_for_what_a_stopped_vm_never_gets_to(condition):
    vm = novacron.connect("sim://waiting-in-vain").vms.create(name=f"web-{condition}")
    with pytest.raises(InvalidStateError):
        vm.wait_for(condition, timeout=30)


RESULT = "/run/cloud-init/result.json"


def test_waiting_for_cloud_init_reads_its_result():
    vm = novacron.connect("sim://cloud-init-that-ends").vms.create(name="web1", start=True)
    with pytest.raises(OperationTimeoutError, match="has not ended"):
        vm.wait_for("cloud-init", timeout=0)
    vm.guest.write(RESULT, b'{"v1": {"datasource": "DataSourceNoCloud [seed=/dev/sr0]", "errors": []}}')
    assert vm.wait_for("cloud-init", timeout=30) == "done, DataSourceNoCloud [seed=/dev/sr0]"


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        (RESULT, b'{"v1": {"datasource": null, "errors": ["no such module: nope"]}}', "no such module: nope"),
        ("/run/cloud-init/disabled", b"", "found no data source"),
    ],
)
def test_nobody_waits_for_a_cloud_init_that_failed_or_is_disabled(path, content, said):
    vm = novacron.connect("sim://cloud-init-that-fails").vms.create(name=path.rpartition("/")[2], start=True)
    vm.guest.write(path, content)
    with pytest.raises(GuestAgentError, match=said):
        vm.wait_for("cloud-init", timeout=30)
