"""What goes wrong on a vSphere, provoked on a real API: the right error with a hint, and nothing half-made."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import signal
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import novacron
from novacron import DiskSpec, VMSpec, errors
from novacron_vmware import keepalive
from novacron_vmware.errors import mapped
from novacron_vmware.sdk import vim, vmodl
from novacron_vmware.undoing import undone_on_failure


def wait_for(condition, seconds=60.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def ill(vcenter):
    """The simulator, whose ordered faults are taken back after the test."""
    yield vcenter
    vcenter.heal()


@pytest.fixture
def vm(host):
    vm = host.vms.create(VMSpec(name="struck", memory="64MiB", disks=[DiskSpec(size="1MiB")]))
    yield vm
    vm.delete(force=True)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("NoDiskSpace", errors.ResourceAllocationError),
        ("InsufficientResourcesFault", errors.ResourceAllocationError),
        ("FileLocked", errors.DiskLockedError),
        ("TaskInProgress", errors.BusyError),
        ("InvalidPowerState", errors.InvalidStateError),
        ("NoPermission", errors.AccessDeniedError),
        ("HostNotConnected", errors.HostConnectionError),
        ("RestrictedVersion", errors.AccessDeniedError),
        ("GenericVmConfigFault", errors.InvalidSpecError),
        ("CannotAccessFile", errors.StorageError),
        ("ConcurrentAccess", errors.BusyError),
        ("Timedout", errors.OperationTimeoutError),
    ],
)
def test_a_task_that_fails_says_why(ill, vm, fault, expected):
    """vSphere's fault is in the details, the VM is named, and it is as it was."""
    ill.fault("PowerOnVM_Task", fault, task=True)
    with pytest.raises(expected) as caught:
        vm.start()
    assert caught.value.details["fault"].endswith(fault)
    assert "struck" in (caught.value.resource or "")
    assert caught.value.hint
    assert vm.refresh().status == "stopped"


def test_a_missing_privilege_names_it_and_the_object(ill, vm):
    """So that somebody can grant it."""
    ill.fault("PowerOnVM_Task", "NoPermission", task=True)
    with pytest.raises(errors.AccessDeniedError, match=r"VirtualMachine\.Interact\.PowerOn") as caught:
        vm.start()
    assert caught.value.details["privilegeId"] == "VirtualMachine.Interact.PowerOn"
    assert "a VM (VirtualMachine:vm-1)" in str(caught.value), "the simulator names a VM that it does not have"


def test_an_error_names_the_object_that_a_fault_points_to(host, vm):
    """vSphere's faults and messages have ids, which users do not know."""
    thing = host.dispatcher.driver.native.inventory.find(vm.id)
    store = host.dispatcher.driver.native.collect(vim.Datastore, ["name"])[0]
    missing = mapped(vim.fault.NoPermission(object=thing, privilegeId="VirtualMachine.Config.Rename"), resource="struck")
    assert str(missing) == "the privilege VirtualMachine.Config.Rename is missing on the VM 'struck'"
    for kind, expected, text in (
        (vim.VirtualMachine, errors.VMNotFoundError, "the VM 'struck' was deleted meanwhile"),
        (vim.vm.Snapshot, errors.SnapshotNotFoundError, "a snapshot that 'struck' needs was deleted meanwhile"),
        (vim.Datastore, errors.StoragePoolNotFoundError, "a storage pool that 'struck' needs was deleted meanwhile"),
        (vim.dvs.DistributedVirtualPortgroup, errors.NetworkNotFoundError, "a network that 'struck' needs was deleted meanwhile"),
        (vim.Folder, errors.NotFoundError, "a folder that 'struck' needs was deleted meanwhile"),
    ):
        message = f"The object '{kind.__name__}:x-12' has already been deleted or has not been completely created"
        found = mapped(vmodl.fault.ManagedObjectNotFound(obj=kind("x-12"), msg=message), resource="struck")
        assert (type(found), str(found)) == (expected, text)
    said = mapped(
        vim.fault.InvalidDatastore(datastore=store[0], msg=f"no room in '{store[0]._moId}' or 'vim.Datastore:{store[0]._moId}'")
    )
    assert f"the storage pool {store[1]['name']!r}" in str(said)
    unsupported = mapped(vmodl.fault.NotSupported(msg="*types.NotSupported"), resource="struck")
    assert str(unsupported) == "vSphere says: not supported for 'struck'"


def test_snapshots_and_vms_are_named_in_errors(host, vm):
    """Not by UUID and id: those of a snapshot and of a VM that were deleted meanwhile too, with their handles."""
    first = vm.snapshots.create("first")
    vm.snapshots["first"].delete()
    for ask in (first.revert, first.delete, lambda: first.delete(children=True)):
        with pytest.raises(errors.SnapshotNotFoundError, match=r"'struck' has no snapshot 'first' \(snapshot-\d+\)") as caught:
            ask()
        assert vm.id not in f"{caught.value} {caught.value.hint} {caught.value.resource}"
    with pytest.raises(errors.SnapshotNotFoundError, match="'struck' has no snapshot 'none'"):
        vm.snapshots["none"]
    gone = host.vms.create(VMSpec(name="gone", memory="64MiB"))
    gone_too = next(each for each in host.vms.list() if each.name == "gone")
    host.vms["gone"].delete()
    for ask in (gone.start, gone_too.start, lambda: gone.snapshots.create("s"), lambda: gone_too.disks.attach(size="1MiB")):
        with pytest.raises(errors.VMNotFoundError, match="'gone'") as caught:
            ask()
        assert gone.id not in f"{caught.value} {caught.value.hint} {caught.value.resource}"


@pytest.mark.parametrize("method", ["CreateVM_Task", "ReconfigVM_Task", "PowerOnVM_Task"])
def test_a_creation_that_fails_leaves_nothing(ill, host, method):
    """Whichever step fails."""
    before = {v.path for v in host.pools.volumes("LocalDS_0")} | {v.path for v in host.pools.volumes("LocalDS_1")}
    ill.fault(method, "NoDiskSpace", task=True)
    spec = VMSpec(name="half", memory="64MiB", disks=[DiskSpec(size="1MiB", boot_order=1)], start=True)
    with pytest.raises(errors.ResourceAllocationError):
        host.vms.create(spec)
    assert "half" not in host.vms
    assert {v.path for v in host.pools.volumes("LocalDS_0")} | {v.path for v in host.pools.volumes("LocalDS_1")} == before


@pytest.mark.parametrize(
    ("method", "change"),
    [
        ("ReconfigVM_Task", lambda vm: vm.disks.attach(size="1MiB")),
        ("ReconfigVM_Task", lambda vm: vm.nics.attach(network="DC0_DVPG0")),
        ("ReconfigVM_Task", lambda vm: vm.update(vcpus=2)),
        ("CreateSnapshot_Task", lambda vm: vm.snapshots.create("s")),
        ("CloneVM_Task", lambda vm: vm.clone("copy")),
        ("RelocateVM_Task", lambda vm: vm.migrate_storage("LocalDS_0")),
        ("CloneVM_Task", lambda vm: vm.host.templates.create(vm, "t")),
    ],
)
def test_a_change_that_fails_changes_nothing(ill, host, vm, method, change):
    """The record is the same, and so is what is beside the VM."""
    before = vm.refresh().record, {v.name for v in host.vms.list()}, vm.snapshots.list(), host.templates.list()
    ill.fault(method, "NoDiskSpace", task=True)
    with pytest.raises(errors.ResourceAllocationError):
        change(vm)
    assert (vm.refresh().record, {v.name for v in host.vms.list()}, vm.snapshots.list(), host.templates.list()) == before


def test_a_guest_without_tools_can_t_be_asked(host):
    """Shutdown, reboot and its operations say so at once, and how to help oneself."""
    vm = host.vms.create(VMSpec(name="no-tools", memory="64MiB", start=True))
    for ask in (
        vm.reboot,
        lambda: vm.shutdown(timeout=1),
        vm.guest.info,
        lambda: vm.guest.exec("true"),
        lambda: vm.guest.read("/etc/issue"),
    ):
        with pytest.raises(errors.GuestAgentUnavailableError) as caught:
            ask()
        assert "Tools" in caught.value.hint
    assert vm.shutdown(timeout=1, otherwise="stop").status == "stopped"
    vm.delete()


def test_guest_operations_need_a_user_of_the_guest_s(host, vm):
    """Who is never guessed."""
    vm.start()
    with pytest.raises(errors.AuthenticationError) as caught:
        vm.guest.exec("true")
    assert "NOVACRON_VSPHERE_GUEST_USER" in caught.value.hint


def test_a_cancelled_job_cancels_the_task(ill, host, vm):
    """And what it made is gone."""
    job = vm.clone("copy", wait=False)
    job.cancel()
    with contextlib.suppress(errors.OperationCancelledError):
        job.result(60).delete()  # it had ended already
    assert "copy" not in host.vms


@pytest.fixture
def tasks(monkeypatch):
    """The vSphere tasks that are waited for from here on."""
    from novacron_vmware.connection import VMwareConnection

    seen, real = [], VMwareConnection.wait
    monkeypatch.setattr(VMwareConnection, "wait", lambda self, task, **how: (seen.append(task), real(self, task, **how))[1])
    return seen


def was_cancelled(native, task) -> bool:
    read = native.read(task, ["info.state", "info.cancelled"])
    return (read["info.state"], read.get("info.cancelled")) == ("error", True)


def test_a_task_that_we_gave_up_on_is_cancelled(ill, host, vm, tasks):
    """By the user, by the caller's deadline, or by a migration's own: vSphere goes on with nothing."""
    native = host.dispatcher.driver.native
    vm.start()
    ill.stall("RelocateVM_Task")
    with pytest.raises(errors.MigrationError, match="was cancelled") as caught:
        vm.migrate(host, node=next(n.name for n in host.nodes() if n.name != vm.record.node), deadline=1)
    assert caught.value.outcome == "failed"
    assert was_cancelled(native, tasks[-1])
    vm.stop()
    ill.stall("CloneVM_Task")
    job = vm.clone("copy", wait=False)
    wait_for(lambda: len(tasks) > 3)
    job.cancel()
    with pytest.raises(errors.OperationCancelledError):
        job.result(60)
    assert was_cancelled(native, tasks[-1])
    ill.stall("CloneVM_Task")
    with pytest.raises(errors.OperationTimeoutError):
        host.invoke("vm_clone", 2, vm=vm.id, name="copy", linked=False)
    wait_for(lambda: was_cancelled(native, tasks[-1]))
    assert "copy" not in host.vms


def test_a_task_longer_than_its_limit_is_told_to_stop(ill, host, vm, tasks):
    """Whoever waits for it."""
    native = host.dispatcher.driver.native
    ill.stall("PowerOnVM_Task")
    with pytest.raises(errors.OperationTimeoutError, match=r"still runs after 0\.5 s") as caught:
        native.wait(native.inventory.find(vm.id).PowerOnVM_Task(), resource="struck", seconds=0.5)
    assert caught.value.outcome == "unknown"
    assert was_cancelled(native, tasks[-1])


@pytest.mark.parametrize("broken", [b"no appliance", "no ovf", "not xml", "no disk"])
def test_a_malformed_appliance_is_refused_and_leaves_nothing(host, vm, tmp_path, broken):
    """Whatever is wrong with it."""
    file = tmp_path / "broken.ova"
    if isinstance(broken, bytes):
        file.write_bytes(broken)
    else:
        vm.export_appliance(tmp_path / "whole.ova")
        with tarfile.open(tmp_path / "whole.ova") as whole, tarfile.open(file, "w") as spoilt:
            for member in whole.getmembers():
                content = whole.extractfile(member).read()
                if member.name.endswith(".ovf"):
                    if broken == "no ovf":
                        continue
                    content = b"<Envelope" if broken == "not xml" else content
                elif broken == "no disk" and member.name.endswith(".vmdk"):
                    continue
                if member.name.endswith(".mf"):
                    continue
                member.size = len(content)
                spoilt.addfile(member, io.BytesIO(content))
    before = {v.path for pool in host.pools.list() for v in host.pools.volumes(pool.name)}
    with pytest.raises(errors.NovaCronError) as caught:
        host.vms.import_appliance(file, name="imported")
    assert isinstance(caught.value, errors.InvalidSpecError | errors.NotFoundError), repr(caught.value)
    assert caught.value.hint
    assert "imported" not in host.vms
    assert {v.path for pool in host.pools.list() for v in host.pools.volumes(pool.name)} == before


def test_a_server_that_dies_is_a_lost_connection_and_comes_back(simulator):
    """What was under way is unknown, what comes after was not sent; once it is there again all goes on."""
    first = simulator()
    with novacron.connect(first.uri(path="/DC0"), password=first.password, timeout=5) as host:
        assert host.vms.list().total == 4
        first.stop()
        for ask in (host.vms.list, host.ping, lambda: host.vms.create(name="x")):
            with pytest.raises(errors.HostConnectionError) as caught:
                ask()
            assert caught.value.hint
        simulator(port=first.port)
        assert host.vms.list().total == 4
        assert host.vms["DC0_H0_VM0"].stop().status == "stopped"


def test_an_expired_session_in_the_middle_of_a_task_goes_on(host, vm):
    """Others may log out whenever they like."""
    from pyVmomi import vim

    ended = threading.Event()

    def expire():
        while not ended.is_set():
            with contextlib.suppress(vim.fault.NotAuthenticated):  # it had expired already
                host.dispatcher.driver.native.content.sessionManager.Logout()
            time.sleep(0.05)

    thread = threading.Thread(target=expire)
    thread.start()
    try:
        for _ in range(10):
            vm.start()
            vm.stop()
    finally:
        ended.set()
        thread.join()


def test_a_session_that_ends_again_at_once_is_begun_again(host, vm, monkeypatch):
    content = host.dispatcher.driver.native.content
    session, ended = content.sessionManager._stub, []
    log_in_again = session.log_in_again

    def log_in_and_out(logins):
        log_in_again(logins)
        if len(ended) < 3:
            ended.append(logins)
            content.sessionManager.Logout()

    monkeypatch.setattr(session, "log_in_again", log_in_and_out)
    content.sessionManager.Logout()
    assert vm.start().status == "running"
    assert len(ended) == 3


def test_a_quiet_session_is_kept_alive(vcenter, monkeypatch):
    """Nobody calls, and it is renewed all the same when it expired; a closed connection gives no more signs of life."""
    monkeypatch.setattr(keepalive, "INTERVAL", 0.05)
    others = set(threading.enumerate())
    with novacron.connect(vcenter.uri(), password=vcenter.password) as host:
        session = host.dispatcher.driver.native.session
        before = session.logins
        host.dispatcher.driver.native.content.sessionManager.Logout()
        wait_for(lambda: session.logins > before)
        thread = next(each for each in threading.enumerate() if each.name == "vsphere-keepalive" and each not in others)
    thread.join(30)
    assert not thread.is_alive()


def test_a_session_that_is_forgotten_is_not_kept_alive(vcenter, monkeypatch):
    """The thread ends with it, also when connecting failed half-way."""
    monkeypatch.setattr(keepalive, "INTERVAL", 0.05)
    before = set(threading.enumerate())
    with pytest.raises(errors.NotFoundError):
        novacron.connect(vcenter.uri(path="/nowhere"), password=vcenter.password)
    gc.collect()
    wait_for(lambda: not [each for each in threading.enumerate() if each.name == "vsphere-keepalive" and each not in before])


def test_a_server_that_falls_silent_ends_every_call_in_time(simulator):
    """SOAP, REST and files; when it speaks again all goes on."""
    from pyVmomi import vim

    halted = simulator()
    options = {"guest_user": "guest", "guest_password": "guest password"}
    with novacron.connect(halted.uri(path="/DC0"), password=halted.password, timeout=2, **options) as host:
        vm = host.vms["DC0_H0_VM0"]
        host.vms.list(detail="full")
        halted.process.send_signal(signal.SIGSTOP)
        os.waitpid(halted.process.pid, os.WUNTRACED)  # a signal takes a moment to stop all threads
        try:
            for ask in (
                host.ping,
                host.vms.list,
                lambda: host.vms.list(detail="full"),
                vm.stop,
                vm.history,
                vm.screenshot,
                lambda: host.pools.volumes("LocalDS_0"),
                lambda: vm.guest.exec("true"),
                lambda: host.dispatcher.driver.native.tags.of([vim.VirtualMachine("vm-1", None)]),
            ):
                began = time.monotonic()
                with pytest.raises((errors.OperationTimeoutError, errors.HostConnectionError)) as caught:
                    ask()
                assert caught.value.hint
                assert time.monotonic() - began < 60
        finally:
            halted.process.send_signal(signal.SIGCONT)
        assert host.vms.list().total == 4


def test_threads_call_at_the_same_time_on_connections_of_their_own(host, monkeypatch):
    """None waits for another's answer."""
    from pyVmomi import SoapStubAdapter

    native, together, used = host.dispatcher.driver.native, threading.Barrier(8, timeout=60), []
    real = SoapStubAdapter.GetConnection

    def taken(self):
        found = real(self)
        used.append(found)
        together.wait()
        return found

    def call():
        return native.read(native.content.rootFolder, ["name"])["name"]

    with monkeypatch.context() as patched, ThreadPoolExecutor(8) as pool:
        patched.setattr(SoapStubAdapter, "GetConnection", taken)
        assert {future.result(60) for future in [pool.submit(call) for _ in range(8)]} == {"Datacenters"}
    assert len({id(each) for each in used}) == 8


def test_an_error_is_told_though_undoing_failed_too(ill, host, vm):
    """The first error, and what is left: the copy of an image that was neither attached nor deleted."""
    source = vm.record.disks[0].source.removeprefix("[").replace("] ", "/")
    ill.fault("ReconfigVM_Task", "GenericVmConfigFault", task=True)
    ill.fault("DeleteVirtualDisk_Task", "FileLocked")
    with pytest.raises(errors.InvalidSpecError) as caught:
        vm.disks.attach(source=source)
    assert "struck-image-1.vmdk' may be left" in caught.value.hint
    assert len(vm.refresh().record.disks) == 1


def test_a_defect_of_undoing_does_not_hide_the_first_error():
    """Such as an answer of vSphere without the field that is read."""
    with (
        pytest.raises(errors.InvalidStateError, match="it runs") as caught,
        undone_on_failure("web1", "the VM 'web1'", lambda: {}["config.hardware.device"]),
    ):
        raise errors.InvalidStateError("it runs", hint="stop it")
    assert caught.value.hint == ("stop it; the VM 'web1' may be left, because undoing failed: KeyError: 'config.hardware.device'")


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_copy_that_was_attached_though_the_answer_was_lost_is_kept(host, vm, monkeypatch, snapshot):
    """Deleting the file would take a disk from the VM, also when another client has made a snapshot meanwhile."""
    native = host.dispatcher.driver.native
    thing = native.inventory.find(vm.id)
    wait, source = native.wait, vm.record.disks[0].source.removeprefix("[").replace("] ", "/")

    def lost(task, **more):
        found = wait(task, **more)
        if native.read(task, ["info.descriptionId"])["info.descriptionId"].lower().endswith(("reconfigure", "reconfigvm")):
            if snapshot:
                below_a_snapshot(thing)
            raise ConnectionResetError
        return found

    def below_a_snapshot(thing):
        """Give the disk the file that a snapshot gives it; the simulator's snapshots leave the disk's own."""
        (device,) = [
            each
            for each in native.read(thing, ["config.hardware.device"])["config.hardware.device"]
            if "image-1" in str(getattr(each.backing, "fileName", ""))
        ]
        base = device.backing.fileName
        device.backing.parent = type(device.backing)(fileName=base, diskMode="persistent")
        device.backing.fileName = base.replace(".vmdk", "-000001.vmdk")
        manager, datacenter = native.content.virtualDiskManager, native.datacenter_thing(thing)
        wait(manager.CopyVirtualDisk_Task(base, datacenter, device.backing.fileName, datacenter), resource=vm.name)
        change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=device)
        wait(thing.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])), resource=vm.name)

    with monkeypatch.context() as patch:
        patch.setattr(native, "wait", lost)
        with pytest.raises(errors.HostConnectionError) as caught:
            vm.disks.attach(source=source)
    assert caught.value.outcome == "unknown"
    (disk,) = [disk for disk in vm.refresh().record.disks if "image-1" in disk.source]
    assert "struck/struck-image-1.vmdk" in {volume.name for volume in host.pools.volumes(disk.pool)}


def test_an_imported_vm_that_was_started_before_the_import_failed_is_not_left(host, vm, tmp_path, monkeypatch):
    """It runs: it has to be stopped before it can be deleted."""
    vm.export_appliance(tmp_path / "vm.ova")
    native = host.dispatcher.driver.native
    wait = native.wait

    def lost(task, **more):
        found = wait(task, **more)
        if native.read(task, ["info.descriptionId"])["info.descriptionId"].endswith("powerOn"):
            raise ConnectionResetError
        return found

    with monkeypatch.context() as patch:
        patch.setattr(native, "wait", lost)
        with pytest.raises(errors.HostConnectionError):
            host.vms.import_appliance(tmp_path / "vm.ova", name="imported", start=True)
    assert "imported" not in host.vms
