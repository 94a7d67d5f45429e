"""The fleet lives in the state database."""

import pytest

from novacron import Site, errors

pytestmark = pytest.mark.usefixtures("own_state")


def test_a_registered_host_is_there_for_the_next_process():
    Site().fleet.add("kvm1", "qemu:///system")
    assert [(h.name, h.uri) for h in Site().fleet.list()] == [("kvm1", "qemu:///system")]


def test_a_taken_name_is_refused_unless_replaced():
    fleet = Site().fleet
    fleet.add("a", "sim://a")
    with pytest.raises(errors.AlreadyExistsError):
        fleet.add("a", "sim://b")
    assert fleet.add("a", "sim://b", replace=True).uri == "sim://b"


def test_an_unknown_host_is_not_found_with_a_hint():
    with pytest.raises(errors.HostNotFoundError) as caught:
        Site().fleet.hosts["ghost"]
    assert "novacron host list" in caught.value.hint
    with pytest.raises(errors.HostNotFoundError):
        Site().fleet.remove("ghost")


@pytest.mark.parametrize(("name", "uri"), [("a b", "sim://x"), ("a", "no uri"), ("a", "vsphere://u:secret@h")])
def test_bad_names_and_uris_are_refused(name, uri):
    with pytest.raises(errors.InvalidSpecError):
        Site().fleet.add(name, uri)


def test_a_database_that_cannot_be_opened_is_a_clear_error(monkeypatch):
    monkeypatch.setenv("NOVACRON_DATABASE", "sqlite:////nonexistent/folder/state.db")
    with pytest.raises(errors.StorageError, match="state database"):
        Site().fleet.list()
