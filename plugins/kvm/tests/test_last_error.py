"""libvirt's error is not lost to a garbage collection between the failed call and its exception."""

import gc

import libvirt
import pytest

import novacron
from novacron_kvm import last_error as lasterror


@pytest.fixture
def connection():
    """The driver's connection; each collection finds libvirt objects to free."""
    before = gc.get_threshold()
    with novacron.connect("test:///default", name="lasterror") as host:
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


def test_keeping_it_twice_is_keeping_it_once(connection):
    before = list(gc.callbacks)
    lasterror.keep()
    assert gc.callbacks == before
