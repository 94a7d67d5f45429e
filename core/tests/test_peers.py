"""A driver asks the other hosts of its fleet: bounded, and it learns which of them did not answer."""

import pytest

from novacron import errors
from novacron.peers import UNKNOWN, Peers
from novacron.plugins.driver import NO_ANSWER
from novacron.site import Site


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state") as made:
        for name in ("peer-a", "peer-b", "peer-c"):
            made.fleet.add(name, f"sim://{name}?vms=1")
        made.fleet.add("other-driver", "qemu+tls://192.0.2.1/system")
        yield made


def test_each_other_host_of_the_same_driver_is_asked(site):
    asked = []
    answers = site.peers.ask("peer-a", ("sim",), lambda native: asked.append(native) or len(asked))
    assert [host for host, _ in answers] == ["peer-b", "peer-c"]
    assert sorted(answer for _, answer in answers) == [1, 2]


def test_a_host_that_does_not_answer_is_named_and_not_asked_again_soon(site):
    asked = []

    def what(native):
        asked.append(native)
        if len(asked) == 1:
            raise errors.HostConnectionError("gone")
        return "here"

    first = site.peers.ask("peer-a", ("sim",), what)
    again = site.peers.ask("peer-a", ("sim",), what)
    assert len(asked) == 3
    assert first == again
    assert sorted(host for host, _ in first) == ["peer-b", "peer-c"]
    assert sorted(str(answer) for _, answer in first if answer is not NO_ANSWER) == ["here"]


def test_without_a_fleet_nobody_is_asked(tmp_path):
    with Site(tmp_path / "state") as site:
        assert site.peers.ask("alone", ("sim",), lambda native: pytest.fail("asked")) == []


def test_a_database_that_can_not_be_read_is_no_error_of_the_operation_and_no_proof_that_there_are_no_other_hosts():
    """If it were, files that VMs of other hosts need would be deleted while the database is down."""

    def broken():
        raise errors.StorageError("the state database can't be opened")

    assert Peers(broken).ask("a", ("sim",), lambda native: None) == [(UNKNOWN, NO_ANSWER)]


def test_a_host_that_was_fenced_is_not_asked_by_the_failover_controller(site):
    """The first VM that was restarted elsewhere waited 10 seconds for the node that was off. Others ask it: it may be on all the same."""
    site.fleet.nodes.refresh(["peer-b"])
    [node] = site.fleet.nodes.list()
    site.fleet.nodes._store.change(node.id, status="fenced")
    assert dict(site.peers.ask("peer-a", ("sim",), lambda native: "here")) == {"peer-b": "here", "peer-c": "here"}
    site.fleet.failover.controller()
    asked = []
    answers = dict(site.peers.ask("peer-a", ("sim",), lambda native: asked.append(native) or "here"))
    assert (len(asked), answers) == (1, {"peer-b": NO_ANSWER, "peer-c": "here"})
    site.fleet.nodes._store.change(node.id, status="quarantined")
    assert dict(site.peers.ask("peer-a", ("sim",), lambda native: "here")) == {"peer-b": "here", "peer-c": "here"}


def test_the_storage_pools_that_a_host_shares_are_those_of_its_group_or_of_the_fleet(site):
    assert site.peers.shared_pools("peer-a") is None
    site.fleet.groups.set("fleet", shared_pools=[])
    assert site.peers.shared_pools("peer-a") == []
    site.fleet.nodes.refresh(["peer-a"])
    site.fleet.nodes.set(site.fleet.nodes.list()[0].name, group="rack1")
    assert site.peers.shared_pools("peer-a") == []
    site.fleet.groups.set("rack1", shared_pools=["nfs"])
    assert site.peers.shared_pools("peer-a") == ["nfs"]
    assert site.peers.shared_pools("peer-b") == []


def test_a_database_that_can_not_be_read_says_nothing_of_shared_pools():
    def broken():
        raise errors.StorageError("the state database can't be opened")

    assert Peers(broken).shared_pools("a") is None
