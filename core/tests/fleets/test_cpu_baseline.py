"""The CPU baseline of a group: the best CPU that a VM can have on all its nodes."""

import pytest

from novacron import Site, errors


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state") as made:
        yield made


def test_the_baseline_of_a_group_is_that_of_its_oldest_node(site, add):
    for name, model in (("a", "sim-3"), ("b", "sim-2"), ("c", "sim-3")):
        add(name).world.cpu_model = model
    add("elsewhere", group="old").world.cpu_model = "sim-1"
    found = site.fleet.cpu_baseline("prod")
    assert (found.model, len(found.nodes)) == ("sim-2", 3)
    assert site.fleet.cpu_baseline("old").model == "sim-1"


def test_a_host_that_does_not_answer_is_an_error_because_its_cpu_may_be_older(site, add):
    add("a")
    add("b").world.faults.set_connected(False)
    with pytest.raises(errors.HostConnectionError):
        site.fleet.cpu_baseline("prod")


def test_an_unknown_group_and_a_foreign_description_are_refused(site, add):
    host = add("a")
    with pytest.raises(errors.NotFoundError, match="ghost"):
        site.fleet.cpu_baseline("ghost")
    with pytest.raises(errors.InvalidSpecError, match="sim-1, sim-2, sim-3"):
        host.cpu_baseline(["<cpu/>"])
