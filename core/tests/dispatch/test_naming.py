"""Errors name VMs and snapshots as users do, although handles pass their ids."""

import pytest

import novacron
from novacron import errors


@pytest.fixture
def host():
    with novacron.connect("sim://naming?vms=0") as host:
        yield host


def texts(error):
    return f"{error} {error.hint} {error.resource}"


def test_an_error_of_a_deleted_vm_has_its_name(host):
    """Whether the handle comes from a name or from a listing, and whether the call waits or is a job."""
    host.vms.create(name="web1")
    by_name, (listed,) = host.vms["web1"], list(host.vms.list())
    host.vms["web1"].delete()
    for ask in (
        by_name.start,
        listed.refresh,
        lambda: listed.snapshots.list(),
        lambda: by_name.snapshots.create("s", wait=False).result(),
        lambda: listed.disks.attach(size="1MiB"),
    ):
        with pytest.raises(errors.VMNotFoundError, match="'web1'") as caught:
            ask()
        assert by_name.id not in texts(caught.value)
        assert caught.value.resource == "web1"


def test_an_error_of_a_part_of_a_vm_has_the_vms_name(host):
    vm = host.vms.create(name="web2")
    for ask in (
        lambda: vm.snapshots["none"],
        lambda: vm.disks["vdz"],
        lambda: host.invoke("disk_detach", vm=vm.id, disk="vdz", delete=False),
        lambda: host.invoke("guest_exec", vm=vm.id, argv=["true"], stdin=b"", seconds=1.0),
        lambda: vm.disks.attach(size="1MiB", pool="none"),
    ):
        with pytest.raises(errors.NovaCronError) as caught:
            ask()
        assert vm.id not in texts(caught.value)


def test_a_name_that_looks_like_an_id_of_nothing_is_shown_as_it_was_given(host):
    unknown = "6b1f0000-0000-4000-8000-000000000001"
    with pytest.raises(errors.VMNotFoundError, match=unknown):
        host.vms[unknown]
