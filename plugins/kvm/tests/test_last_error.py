"""Neither an error of libvirt nor a Ctrl-C is lost when libvirt's objects are freed."""

import gc
import subprocess
import sys
import threading

import libvirt
import pytest

import novacron


@pytest.fixture
def connection():
    """The driver's connection; each collection finds libvirt objects to free."""
    before = gc.get_threshold()
    with novacron.connect("test:///default", name="finalizers") as host:
        yield host.dispatcher.driver.native.read
    gc.enable()
    gc.set_threshold(*before)


def fail_while_collecting(connection):
    """Return the error of a failed call; making the exception begins a collection, which frees a libvirt object."""

    class Cycle:
        pass

    gc.disable()
    one = Cycle()
    one.itself, one.domain = one, connection.lookupByName("test")
    del one
    try:
        gc.enable()
        gc.set_threshold(1)
        connection.lookupByName("absent")
    except libvirt.libvirtError as error:
        gc.set_threshold(700)
        return error
    raise AssertionError("there is no such VM")


def test_an_absent_vm_is_absent_whatever_is_collected_meanwhile(connection):
    found = [fail_while_collecting(connection) for _ in range(50)]
    assert {error.get_error_code() for error in found} == {libvirt.VIR_ERR_NO_DOMAIN}
    assert {str(error) for error in found} == {"Domain not found"}


def test_an_old_error_is_not_taken_for_a_new_one(connection):
    fail_while_collecting(connection)
    gc.collect()
    nothing = libvirt.libvirtError("nothing failed")
    assert (nothing.get_error_code(), str(nothing)) == (None, "nothing failed")


def test_a_collection_calls_no_function_of_the_driver(connection):
    assert connection is not None
    assert [each for each in gc.callbacks if getattr(each, "__module__", "").startswith("novacron")] == []


def test_every_object_is_freed_once_and_the_connection_is_closed(monkeypatch):
    freed = []
    free = libvirt.libvirtmod.virDomainFree
    monkeypatch.setattr(libvirt.libvirtmod, "virDomainFree", lambda native: freed.append(native) or free(native))
    native = libvirt.open("test:///default")
    for _ in range(100):
        native.lookupByName("test")
    kept, closed = native.lookupByName("test"), threading.Event()
    monkeypatch.setattr(libvirt.libvirtmod, "virConnectClose", closing(libvirt.libvirtmod.virConnectClose, closed))
    del native
    gc.collect()
    assert kept.name() == "test"
    assert not closed.is_set()
    del kept
    gc.collect()
    assert closed.wait(60)
    assert len(freed) == 101


def closing(close, closed):
    def closes(native):
        close(native)
        closed.set()

    return closes


INTERRUPTED = """
import gc, os, signal, sys, threading
import libvirt, novacron
host = novacron.connect("test:///default")
native = host.dispatcher.driver.native.read
gc.set_threshold(1)
lost = 0
for _ in range(int(sys.argv[1])):
    timer = threading.Timer(0.002, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        while timer.is_alive():
            try:
                native.lookupByName("absent")
            except libvirt.libvirtError as error:
                assert error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN
        gc.collect()
        lost += 1
    except KeyboardInterrupt:
        pass
    timer.join()
print("lost", lost)
"""


def test_ctrl_c_is_never_lost_in_a_failing_call_or_a_collection():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, "100"], capture_output=True, text=True, timeout=250)
    assert (done.stdout, done.stderr) == ("lost 0\n", "")
