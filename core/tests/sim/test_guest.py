"""What a guest says: its agent, its console and its metrics."""

import pytest

from novacron import errors


def test_the_agent_answers_while_the_vm_runs(a, make):
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


def test_a_vm_made_without_an_agent_has_none(a, make):
    with pytest.raises(errors.GuestAgentUnavailableError):
        make(a, guest_agent=False, start=True).guest.info()


def test_a_frozen_guest_does_nothing_until_thawed(a, make):
    vm = make(a, start=True)
    a.invoke("guest_freeze", vm=vm.id)
    with pytest.raises(errors.InvalidStateError):
        vm.guest.exec("true")
    a.invoke("guest_thaw", vm=vm.id)
    a.invoke("guest_thaw", vm=vm.id)
    assert vm.guest.exec("true").exit_status == 0


def test_files_come_back_with_a_snapshot(a, make):
    vm = make(a, start=True)
    write = lambda data: a.invoke("guest_file_write", vm=vm.id, path="/f", data=data)  # noqa: E731
    write(b"old")
    vm.snapshots.create("one")
    write(b"new")
    vm.snapshots["one"].revert()
    assert a.invoke("guest_file_read", vm=vm.id, path="/f") == b"old"


def test_what_is_typed_comes_back(a, make):
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


def test_a_screenshot_is_a_png_and_a_display_has_an_address(a, make):
    vm = make(a, display={"type": "vnc"})
    with pytest.raises(errors.InvalidStateError):
        a.invoke("console_screenshot", vm=vm.id)
    vm.start()
    shot = a.invoke("console_screenshot", vm=vm.id)
    assert shot.data.startswith(b"\x89PNG\r\n\x1a\n")
    endpoint = a.invoke("console_endpoint", vm=vm.id)
    assert (endpoint.kind, endpoint.address) == ("vnc", "127.0.0.1")
    assert a.invoke("console_endpoint", vm=make(a, "web2", start=True).id).kind == "serial"


def test_only_running_vms_are_measured_in_bulk_and_counters_grow(a, make):
    vm = make(a, start=True)
    make(a, "web2")
    first, second = (a.invoke("metrics_vms") for _ in range(2))
    assert [m.vm for m in first] == [vm.id]
    assert second[0].cpu_seconds > first[0].cpu_seconds
    assert a.vms["web2"].metrics().cpu_seconds == 0
    assert a.invoke("metrics_host").cpus == 64
