"""A driver may make the object of an area when one of its operations is first used."""

import threading
from functools import partial

import pytest

from novacron import Site, errors
from novacron.drivers.sim import plugin as sim
from novacron.plugins import Driver, DriverProvider, hookimpl


class MisspeltSnapshots:
    """An area whose hook has a wrong name."""

    @hookimpl
    def snapshot_lst(self, vm):
        return []


class StrayPower:
    """An area that implements an operation of another one."""

    @hookimpl
    def vm_start(self, vm):
        return None


@pytest.fixture
def connect(tmp_path):
    """Connect to a simulated host, some areas of which are replaced. Returns the handle and the list of areas that were made."""
    made = []

    def connected(**replaced):
        def make(area, connection):
            made.append(area)
            return replaced[area]() if area in replaced else sim._make(area, connection)

        def open_(uri, context):
            whole = sim.connect(uri, context)
            return Driver(areas={area: partial(make, area, whole.native) for area in whole.areas}, close=whole.close)

        site.drivers.register(DriverProvider(name="slow", schemes=("slow",), connect=open_))
        return site.connect("slow://driver-areas?vms=1"), made

    with Site(tmp_path) as site:
        yield connected


def test_an_area_is_made_when_an_operation_of_it_is_first_used(connect):
    host, made = connect()
    assert made == []
    host.invoke("vm_get", vm="vm-00001")
    host.invoke("vm_get", vm="vm-00001")
    assert made == ["lifecycle"]
    assert host.supports("snapshot_list")
    assert made == ["lifecycle", "snapshots"]
    assert "pool_list" in host.capabilities().operations
    assert sorted(made) == sorted(sim._AREAS)


def test_threads_that_need_an_area_at_once_make_it_once(connect):
    host, made = connect()
    start, found = threading.Barrier(8), []

    def ask():
        start.wait()
        found.append(host.invoke("vm_get", vm="vm-00001").name)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, made) == (["vm-00001"] * 8, ["lifecycle"])


def test_closing_makes_no_area(connect):
    host, made = connect()
    host.ping()
    host.close()
    assert made == ["host"]


@pytest.mark.parametrize(
    ("area", "part", "operation", "message"),
    [
        ("snapshots", MisspeltSnapshots, "snapshot_list", "snapshot_lst is no hook, did you mean 'snapshot_list'"),
        ("snapshots", StrayPower, "snapshot_list", "vm_start belongs to the area 'power', not to 'snapshots'"),
        ("power", object, "vm_start", "the area 'power' lacks the mandatory operation vm_start"),
    ],
)
def test_a_wrong_area_is_refused_when_it_is_used(area, part, operation, message, connect):
    """The other areas work."""
    host, _ = connect(**{area: part})
    assert host.invoke("vm_get", vm="vm-00001").name == "vm-00001"
    for _ in range(2):
        with pytest.raises(errors.PluginError, match=message):
            host.supports(operation)


def test_an_area_that_cannot_be_imported_is_an_error_with_its_name(connect):
    def missing():
        raise ImportError("No module named 'acme'")

    host, _ = connect(power=missing)
    with pytest.raises(errors.PluginError, match="the area 'power' of the driver 'slow' can't be imported"):
        host.invoke("vm_start", vm="vm-00001")
    assert host.invoke("vm_get", vm="vm-00001").name == "vm-00001"


def test_mandatory_operations_of_no_area_are_missed_when_connecting(tmp_path):
    def open_(uri, context):
        whole = sim.connect(uri, context)
        return Driver(areas={area: partial(sim._make, area, whole.native) for area in whole.areas if area != "power"})

    with Site(tmp_path) as site:
        site.drivers.register(DriverProvider(name="half", schemes=("half",), connect=open_))
        with pytest.raises(errors.PluginError, match="mandatory operations are missing: vm_start"):
            site.connect("half://driver-areas-half")
