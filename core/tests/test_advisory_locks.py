"""Locks across machines: two sites with one PostgreSQL database and state directories of their own."""

import threading

import pytest

from novacron import errors
from novacron.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]


@pytest.fixture
def sites(postgresql, tmp_path):
    with Site(tmp_path / "one") as one, Site(tmp_path / "two") as two:
        yield one, two


def test_a_change_on_one_machine_waits_for_that_on_another(sites):
    """Each machine knows the host under another name. The second change begins when the first one has ended, or its time is up."""
    first, second = sites
    vm = first.connect("sim://advisory").vms.create(name="web1")
    other = second.connect("sim://advisory", name="known-differently").vms[vm.id]
    began, go_on = threading.Event(), threading.Event()

    def hold():
        with vm.locked():
            began.set()
            go_on.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert began.wait(60)
        with pytest.raises(errors.BusyError, match="another process"):
            other.host.invoke("vm_rename", 0.2, vm=vm.id, name="web2")
    finally:
        go_on.set()
        holder.join(60)
    other.host.invoke("vm_rename", vm=vm.id, name="web2")
    assert vm.refresh().name == "web2"


def test_a_server_that_stops_ends_no_change(sites, postgresql):
    first, _ = sites
    vm = first.connect("sim://advisory-stop").vms.create(name="web1")
    with vm.locked():
        postgresql.stop()
    postgresql.start()
    assert vm.rename("web2").name == "web2"
