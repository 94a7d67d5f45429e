"""A real host is emptied and used again, while its guest keeps counting."""

import pytest

from novacron import Site

pytestmark = pytest.mark.lab


def test_a_guest_counts_while_its_host_is_emptied_and_comes_back(lab, lab_hosts, boot, tmp_path):
    vm = boot(lab_hosts[0], "drained")
    with Site(tmp_path / "state") as site:
        for host in lab.hosts:
            site.fleet.add(host.name, host.uri)
        site.fleet.nodes.refresh()
        assert len(site.fleet.nodes) == 2, "each host has a UUID of its own, although both run on one machine"
        for host in lab.hosts:
            site.fleet.nodes.set(host.name, group="lab", memory_ratio=4, vcpus_ratio=64)
        source, destination = (host.name for host in lab.hosts)
        plan = site.fleet.maintenance.enter(source, reason="a test")
        assert [(move.name, move.host) for move in plan.moves if move.name == "drained"] == [("drained", destination)]
        vm.console.wait_for_more_ticks()
        back = site.fleet.maintenance.leave(source)
        assert "drained" in [move.name for move in back.moves]
        assert site.fleet.vms[vm.id].host.name == source
        vm.console.wait_for_more_ticks()
    numbers = [number for number, _ in vm.console.ticks]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "the guest was never restarted"
