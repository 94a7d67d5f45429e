"""Locks across machines: two sites with one PostgreSQL database and state directories of their own."""

import threading
from types import SimpleNamespace

import pytest

from novacron import errors
from novacron.site import Site
from novacron.store import advisory_locks
from novacron.store.advisory_locks import AdvisoryLocks

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]


@pytest.fixture
def sites(postgresql, tmp_path):
    with Site(tmp_path / "one") as one, Site(tmp_path / "two") as two:
        yield one, two


def test_a_change_on_one_machine_waits_for_that_on_another(sites, monkeypatch):
    """Each machine knows the host under another name. The second change begins when the first one has ended."""
    waits = threading.Event()
    monkeypatch.setattr(advisory_locks, "time", SimpleNamespace(sleep=lambda seconds: waits.set()))
    first, second = sites
    vm = first.connect("sim://advisory").vms.create(name="web1")
    other = second.connect("sim://advisory", name="known-differently")
    with vm.locked():
        renaming = other.submit("vm_rename", vm=vm.id, name="web2")
        assert waits.wait(60)
        assert not renaming.done()
        assert vm.refresh().name == "web1"
    renaming.result(60)
    assert vm.refresh().name == "web2"


def test_a_lock_that_is_not_to_be_had_is_refused_and_left_to_its_holder(sites):
    first, second = (AdvisoryLocks(site._url, lambda site=site: site.database) for site in sites)
    refuse = lambda: errors.BusyError("held")  # noqa: E731
    with first.hold("a", lambda: 0.0, refuse):
        with pytest.raises(errors.BusyError), second.hold("a", lambda: 0.0, refuse):
            pass
        with second.hold("b", lambda: 0.0, refuse):
            pass
    with second.hold("a", lambda: 0.0, refuse):
        pass


def test_a_server_that_stops_ends_no_change(sites, postgresql):
    first, _ = sites
    vm = first.connect("sim://advisory-stop").vms.create(name="web1")
    with vm.locked():
        postgresql.stop()
    postgresql.start()
    assert vm.rename("web2").name == "web2"
