"""Consoles of real guests."""

import threading
import time

import pytest

from novacron import errors

pytestmark = pytest.mark.lab


def test_the_serial_console_gives_what_the_guest_says_and_one_has_it_at_a_time(lab_hosts, boot):
    host = lab_hosts[0]
    vm = boot(host, "talking")
    console = host.invoke("console_open", vm=vm.id, force=False)
    try:
        said, deadline = b"", time.monotonic() + 60
        while said.count(b"NOVACRON TICK") < 2:
            assert time.monotonic() < deadline, said
            said += console.read(1.0)
        with pytest.raises(errors.BusyError, match="somebody has the console"):
            host.invoke("console_open", vm=vm.id, force=False)
        console.write(b"hello\n")
    finally:
        console.close()
    again = host.invoke("console_open", vm=vm.id, force=True)
    assert again.read(5.0)
    again.close()
    again.close()


def test_a_screenshot_is_a_picture_and_the_endpoint_is_on_loopback(lab_hosts, boot):
    host = lab_hosts[0]
    vm = boot(host, "seen", display={"type": "vnc"}, ticks=0, kernel=None)
    picture = host.invoke("console_screenshot", vm=vm.id)
    assert picture.mime_type in ("image/x-portable-pixmap", "image/png")
    assert picture.data[:2] in (b"P6", b"\x89P")
    endpoint = host.invoke("console_endpoint", vm=vm.id)
    assert (endpoint.kind, endpoint.address) == ("vnc", "127.0.0.1")
    assert endpoint.port >= 5900


def test_keys_reach_the_guest(lab_hosts, boot):
    """The firmware reboots at ctrl-alt-delete. Of keys with an unknown one none is pressed."""
    host = lab_hosts[0]
    vm = boot(host, "pressed", ticks=0, kernel=None)
    rebooted = threading.Event()
    subscription = host.subscribe(lambda event: rebooted.set() if (event.id, event.kind) == (vm.id, "vm.reboot") else None)
    try:
        with pytest.raises(errors.InvalidSpecError, match="no such key"):
            vm.send_keys("ctrl-alt-nothing", "a")
        deadline = time.monotonic() + 60
        while not rebooted.wait(1):  # the firmware reads no keys in its first moments
            assert time.monotonic() < deadline
            vm.send_keys("ctrl-alt-delete")
    finally:
        subscription.close()
    vm.suspend()
    with pytest.raises(errors.InvalidStateError):
        vm.send_keys("a")


def test_no_display_and_no_running_guest_are_said(lab_hosts, boot):
    host = lab_hosts[0]
    vm = boot(host, "dark", ticks=0, kernel=None)
    with pytest.raises(errors.NotFoundError, match="no display"):
        host.invoke("console_endpoint", vm=vm.id)
    vm.stop()
    for operation, more in (("console_open", {"force": False}), ("console_screenshot", {}), ("console_endpoint", {})):
        with pytest.raises(errors.InvalidStateError, match="not running"):
            host.invoke(operation, vm=vm.id, **more)
