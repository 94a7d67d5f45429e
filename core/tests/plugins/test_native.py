"""Native operations: declared once by a driver, found, checked and recorded like those of the contract."""

from __future__ import annotations

import json

import pytest

import novacron
from novacron import errors
from novacron.drivers.sim.plugin import areas, connect
from novacron.jobs import Job
from novacron.plugins import Driver, DriverProvider, NativeArea
from novacron.plugins.native import native_operations, native_table
from novacron.records.vm import Deleted
from novacron.site import Site

toy = NativeArea("toy")


class Toys:
    """Toys."""

    def __init__(self):
        self.made = []

    @toy.operation(kind="read")
    def toy_list(self, path: str = "/") -> list[str]:
        """List the toys."""
        return [path, *self.made]

    @toy.operation(kind="change")
    def toy_make(self, name: str, size: int = 1) -> str:
        """Make a toy."""
        self.made.append(name)
        return f"{name} {size}"

    @toy.operation(kind="job", destroys=True)
    def toy_break(self, name: str, job: Job[Deleted]) -> Deleted:
        """Break a toy."""
        job.report("breaking", 0.5)
        self.made.remove(name)
        return Deleted(name=name)


def with_toys(uri, context):
    driver = connect(uri, context)
    return Driver([*driver.parts, Toys()], close=driver.close, native=driver.native)


provider = DriverProvider(name="toys", schemes=("toy",), connect=with_toys, areas=lambda: [*areas(), Toys], native="Toys.")


@pytest.fixture
def site(tmp_path):
    with Site(state=tmp_path) as site:
        site.drivers.register(provider)
        yield site


@pytest.fixture
def host(site):
    with site.connect("toy://lab") as host:
        yield host


def test_native_operations_are_called_by_their_method_and_by_their_name(host):
    """Defaults may be left out, arguments given by position; a long one returns its result or its job."""
    assert host.native.toy_list() == ["/"]
    assert host.native.toy_make("ball", size=3) == "ball 3"
    assert host.invoke("toy.toy_make", name="car") == "car 1"
    assert host.native.toy_list("/a") == ["/a", "ball", "car"]
    assert host.native.toy_break("ball").name == "ball"
    assert host.native.toy_break(name="car", wait=False).result(60).name == "car"
    assert dir(host.native) == ["toy_break", "toy_list", "toy_make"]
    assert host.native.toy_list.__doc__ == "List the toys."


def test_a_host_says_whether_it_has_a_native_operation(host):
    """Other drivers have not, and no operation of the contract has changed."""
    assert host.supports("toy.toy_list")
    assert not host.supports("toy.nothing")
    with novacron.connect("sim://other") as other:
        assert not other.supports("toy.toy_list")
        assert host.capabilities().operations == other.capabilities().operations
        with pytest.raises(errors.UnsupportedOperationError, match="toy_list"):
            other.invoke("toy.toy_list")
        with pytest.raises(AttributeError):
            other.native.toy_list()
    with pytest.raises(AttributeError, match="toy_list"):
        host.native.toy_lits()


def test_arguments_of_native_operations_are_checked(host):
    """By the types of the signature, before the driver is called."""
    for wrong in ({}, {"name": 3}, {"name": "a", "size": "big"}, {"name": "a", "colour": "red"}, {"name": "a\x1b[2J"}):
        with pytest.raises(errors.InvalidSpecError):
            host.invoke("toy.toy_make", **wrong)
    assert host.native.toy_list() == ["/"]
    with pytest.raises(TypeError):
        host.native.toy_make("a", 1, 2)


def test_native_changes_are_audited_and_reads_are_not(host, tmp_path):
    """With the actor and the arguments."""
    host.acting_for("ann").native.toy_make("ball")
    host.native.toy_list()
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [(line["operation"], line["actor"], line["arguments"]["name"]) for line in lines] == [("toy.toy_make", "ann", "ball")]


def test_two_methods_of_one_name_are_refused():
    """As two implementations of a hook are."""
    with pytest.raises(errors.PluginError, match="twice"):
        native_table("toys", [Toys(), Toys()])
    assert [operation.name for operation in native_operations([Toys])] == ["toy.toy_break", "toy.toy_list", "toy.toy_make"]
