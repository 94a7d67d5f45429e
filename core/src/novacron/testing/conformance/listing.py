"""Listing VMs: filters, order, pages."""

from __future__ import annotations

import pytest

from novacron.errors import InvalidSpecError
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.testing.conformance.case import Conformance, Create, needs


class TestListing(Conformance):
    """Filters, order and pages of listings."""

    @pytest.fixture
    def three(self, create: Create) -> list[VMHandle]:
        """Three VMs, the second one running, of different memory."""
        made = [create() for _ in range(3)]
        base = made[0].record.memory_bytes
        made[2].delete()
        made[2] = create(f"{made[0].name}-big", memory=base * 2)
        made[1].start()
        return made

    def test_each_vm_is_listed_once_sorted_by_name(self, host: HostHandle, three: list[VMHandle]) -> None:
        """Each VM is listed with its id, status and size, the same as when it is read alone."""
        names = [vm.name for vm in host.vms.list()]
        assert names == sorted(names)
        for vm in three:
            (listed,) = [v.record for v in host.vms.list() if v.id == vm.id]
            alone = host.vms[vm.id].record
            assert (listed.name, listed.status, listed.vcpus, listed.memory_bytes, listed.host) == (
                alone.name,
                alone.status,
                alone.vcpus,
                alone.memory_bytes,
                alone.host,
            )

    def test_full_detail_equals_the_single_reads(self, host: HostHandle, three: list[VMHandle], prefix: str) -> None:
        """`detail="full"` leaves nothing out."""
        page = host.vms.list(name=f"{prefix}*", detail="full")
        assert {vm.id: vm.record for vm in page} == {vm.id: host.vms[vm.id].record for vm in three}

    def test_filters_by_name_and_status(self, host: HostHandle, three: list[VMHandle], prefix: str) -> None:
        """VMs are selected by a shell pattern of the name, by one status, or by several."""
        assert {vm.id for vm in host.vms.list(name=f"{prefix}*")} == {vm.id for vm in three}
        assert [vm.id for vm in host.vms.list(name=f"{prefix}*", status="running")] == [three[1].id]
        assert host.vms.list(name=f"{prefix}*", status=("running", "stopped")).total == 3
        assert host.vms.list(name=f"{prefix}-no*").total == 0

    def test_filters_by_tag(self, host: HostHandle, create: Create, prefix: str) -> None:
        """Only VMs that have the tag are listed."""
        tagged = create(tags={f"{prefix}-a", "b"})
        create(tags={"b"})
        assert [vm.id for vm in host.vms.list(tag=f"{prefix}-a")] == [tagged.id]

    def test_sorts_by_memory_both_ways(self, host: HostHandle, three: list[VMHandle], prefix: str) -> None:
        """VMs with equal values are in the order of their names."""
        up = [vm.record.memory_bytes for vm in host.vms.list(name=f"{prefix}*", sort="memory")]
        down = [vm.record.memory_bytes for vm in host.vms.list(name=f"{prefix}*", sort="-memory")]
        assert up == sorted(up)
        assert down == sorted(up, reverse=True)

    def test_pages_join_to_the_whole(self, host: HostHandle, three: list[VMHandle], prefix: str) -> None:
        """Each VM on exactly one page, the total on all, no cursor after the last."""
        cursor, seen = None, list[str]()
        for _ in range(3):
            page = host.vms.list(name=f"{prefix}*", limit=1, cursor=cursor)
            assert (len(page), page.total) == (1, 3)
            seen += [vm.id for vm in page]
            cursor = page.next
        assert cursor is None
        assert seen == [vm.id for vm in host.vms.list(name=f"{prefix}*")]

    def test_bad_queries_are_refused(self, host: HostHandle) -> None:
        """Every bad field is named at once."""
        with pytest.raises(InvalidSpecError) as caught:
            host.vms.list(status="sleepy", sort="colour", limit=0, flavour="x")  # type: ignore[call-arg]
        assert {problem.path for problem in caught.value.problems} == {"status", "sort", "limit", "flavour"}

    @needs("node_list")
    def test_filters_by_node(self, host: HostHandle, vm: VMHandle, prefix: str) -> None:
        """A VM is on one of the host's nodes."""
        nodes = host.nodes()
        assert nodes == sorted(nodes, key=lambda node: node.name)
        where = host.vms[vm.id].record.node
        if where is None:
            pytest.skip("the driver does not tell a stopped VM's node")
        assert where in {node.name for node in nodes}
        assert host.vms.list(name=f"{prefix}*", node=where).total == 1


__all__ = ["TestListing"]
