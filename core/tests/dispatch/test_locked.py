"""`vm.locked()`: several operations on a VM without those of others in between."""

import asyncio
import threading

import pytest

import novacron
from novacron import errors


@pytest.fixture
def vm():
    with novacron.connect("sim://held?vms=1") as host:
        yield host.vms["vm-00001"].stop()


def test_changes_of_others_wait_and_those_of_the_block_do_not(vm):
    """Also by another connection, by name instead of UUID, and in parallel within the block."""
    with novacron.connect("sim://held") as other, vm.locked():
        vm.update(vcpus=2).start()
        with vm.locked():  # it is held already
            vm.suspend()
        failed = in_another_thread(lambda: other.submit("vm_stop", 0.2, vm="vm-00001").result(30))
        assert isinstance(failed, errors.BusyError)
        assert other.vms["vm-00001"].status == "suspended"  # reads never wait
        assert [each.status for each in vm.host.vms.list(name="vm-00001").each.stop()] == ["stopped"]
        assert asyncio.run(awaited(vm)) == "running"
    assert in_another_thread(lambda: vm.host.vms["vm-00001"].stop()).status == "stopped"


async def awaited(vm):
    return (await vm.host.submit("vm_start", vm=vm.id)).status


def test_the_lock_outlives_the_block_until_its_last_job_ends(vm):
    vm.start()
    moving = threading.Event()
    with novacron.connect("sim://held-too") as other:
        with vm.locked():
            job = vm.migrate(other, bandwidth="1MiB/s", wait=False)
            job.listen(lambda _: moving.set())
            assert moving.wait(30)
        assert isinstance(in_another_thread(lambda: vm.host.submit("vm_stop", 0.2, vm=vm.id).result(30)), errors.BusyError)
        job.cancel()
        assert isinstance(job.exception(30), errors.OperationCancelledError)
        assert in_another_thread(vm.stop).status == "stopped"


def test_who_can_not_get_the_lock_is_told_who_has_it(vm):
    with vm.locked():
        failed = in_another_thread(lambda: vm.locked(0.1).__enter__())
    assert isinstance(failed, errors.BusyError)
    assert "is held by vm.locked() by" in str(failed)
    with pytest.raises(ZeroDivisionError), vm.locked():
        raise ZeroDivisionError
    assert in_another_thread(lambda: vm.start()).status == "running"


def in_another_thread(work):
    """Return what it returns, or its error. The thread has no part in locks of this one."""
    found = []

    def run():
        try:
            found.append(work())
        except errors.NovaCronError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    return found[0]
