"""Serial consoles over the network. The simulated ESXi's ports are ours (a faked boundary)."""

from __future__ import annotations

import socket
import time

import pytest

from novacron import VMSpec, errors
from novacron_vmware.console.serial_port import SerialConsole


def read_until(console, wanted, seconds=60.0):
    data, until = b"", time.monotonic() + seconds
    while wanted not in data:
        assert time.monotonic() < until, data
        data += console.read(0.2)
    return data


@pytest.fixture(params=["tcp", "telnet"])
def vm(host, request, free_port):
    vm = host.vms.create(
        VMSpec(name="talker", memory="64MiB", start=True, native={"serial_port": f"{request.param}://:{free_port()}"})
    )
    yield vm
    vm.delete(force=True)


def test_a_console_talks_byte_by_byte(vm):
    """Whatever the bytes are; telnet's own commands are no part of them."""
    console = vm.console()
    assert read_until(console, b"login: ") == b"talker login: "
    everything = bytes(range(256))
    console.write(everything)
    assert read_until(console, everything[-1:]).endswith(everything)
    console.close()
    with pytest.raises(errors.InvalidStateError):
        console.write(b"x")


def test_one_has_it_until_another_takes_it(vm):
    """By force only; and it ends with the VM."""
    first = vm.console()
    read_until(first, b"login: ")
    with pytest.raises(errors.BusyError, match="open already"):
        vm.console()
    second = vm.console(force=True)
    assert first.closed
    read_until(second, b"login: ")
    vm.stop()
    until = time.monotonic() + 60
    while not second.closed:
        assert second.read(0.2) == b""
        assert time.monotonic() < until
    with pytest.raises(errors.InvalidStateError, match="stopped"):
        vm.console()


def test_a_vm_without_such_a_port_is_told_how_to_have_one(host):
    """And a port that is none is refused by name."""
    vm = host.vms["DC0_H0_VM0"]
    with pytest.raises(errors.DeviceNotFoundError) as caught:
        vm.console()
    assert "serial_port" in caught.value.hint
    for wrong in ("2001", "tcp://esx:2001", "tcp://:0", "tcp://:99999", "telnets://:2001"):
        with pytest.raises(errors.InvalidSpecError) as refused:
            host.vms.create(VMSpec(name="never", memory="64MiB", native={"serial_port": wrong}))
        assert [problem.path for problem in refused.value.problems] == ["native.serial_port"]
    assert "never" not in host.vms


def test_nobody_at_the_port_is_said(host):
    """As of a VM that another client has, or whose port another has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        wanted = f"tcp://:{taken.getsockname()[1]}"
        vm = host.vms.create(VMSpec(name="quiet", memory="64MiB", native={"serial_port": wanted}, start=True))
        with pytest.raises(errors.BusyError, match="nobody answers"):
            vm.console()
        vm.delete(force=True)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_telnet_commands_are_taken_out_however_they_arrive(size):
    """Options are refused, doubled 255 is one, a command that is cut in two is whole."""
    ours, theirs = socket.socketpair()
    console = SerialConsole(ours, "x", telnet=True)
    sent = b"a\xff\xfb\x01b\xff\xffc\xff\xfa\x18\x01\xff\xf0d\xff\xfd\x18e\xff\xf1f"
    found = b""
    for start in range(0, len(sent), size):
        theirs.sendall(sent[start : start + size])
        found += console.read(5)
    assert found == b"ab\xffcdef"
    assert theirs.recv(100) == b"\xff\xfe\x01\xff\xfc\x18"
    console.write(b"\xff!")
    assert theirs.recv(100) == b"\xff\xff!"
    theirs.close()
    assert console.read(5) == b""
    assert console.closed
